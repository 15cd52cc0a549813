// Draws /openapi.json: each operation with its answers, and each schema with its fields.
const made = (name, text = "", ...children) => {
  const element = document.createElement(name);
  element.textContent = text;
  element.append(...children);
  return element;
};

const kind = (field) =>
  field.$ref?.split("/").pop() ?? field.const ?? field.enum?.join(" | ") ?? field.anyOf?.map(kind).join(" or ") ??
  (field.type === "array" ? `list of ${kind(field.items)}` : field.type ?? "anything");

function table(schema) {
  const rows = Object.entries(schema.properties ?? {}).map(([name, field]) => {
    const said = [field.description, field.default === undefined || field.default === null ? "" : `default: ${field.default}`];
    return made("tr", "", made("td", name), made("td", kind(field)), made("td", said.filter(Boolean).join(" ")));
  });
  return made("table", "", ...rows);
}

const described = await (await fetch("/openapi.json")).json();
const into = document.getElementById("operations");
for (const [path, methods] of Object.entries(described.paths)) for (const [method, operation] of Object.entries(methods)) {
  into.append(made("h2", `${method.toUpperCase()} ${path}`), made("p", operation.description));
  const answers = Object.entries(operation.responses).map(([status, answer]) => made("li", `${status}: ${answer.description}`));
  into.append(made("ul", "", ...answers));
}
for (const [name, schema] of Object.entries(described.components.schemas))
  into.append(made("h2", name), made("p", schema.description ?? ""), table(schema));
