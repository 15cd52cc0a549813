"""What no file of this project may do: open a pickle, run text as code or through a shell, or take code from a hub."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(file for folder in ("src", "stages", "bench", "tools") for file in (ROOT / folder).rglob("*.py"))
PICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "yaml"}
CALLS = {  # what is called, and why not
    "eval": "runs text",
    "exec": "runs text",
    "compile": "runs text",
    "os.system": "a shell",
    "os.popen": "a shell",
    "subprocess.getoutput": "a shell",
    "tempfile.mktemp": "a name that another may take first",
    "extractall": "paths of an archive",
    "unpack_archive": "paths of an archive",
}
OPTIONS = {"trust_remote_code": True, "shell": True, "allow_pickle": True, "verify": False, "autoescape": False}


def forbidden(source: str) -> Iterator[str]:
    """What `source` does and may not."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            names = [module or ""] if module else [each.name for each in node.names]
            yield from (f"imports {name}" for name in names if name.split(".")[0] in PICKLES)
        if isinstance(node, ast.Call):
            yield from _calls(node)


def _calls(node: ast.Call) -> Iterator[str]:
    called = ast.unparse(node.func)
    given = {each.arg: each.value.value for each in node.keywords if isinstance(each.value, ast.Constant)}
    for name, why in CALLS.items():
        if called == name or ("." not in name and called.endswith(f".{name}") and name not in ("eval", "compile")):
            yield f"calls {called} ({why})"
    if called == "torch.load" and given.get("weights_only") is not True:
        yield "calls torch.load without weights_only=True"
    if called == "YAML" and given.get("typ") == "unsafe":
        yield "reads YAML that builds objects"
    yield from (f"{name}={given[name]}" for name, value in OPTIONS.items() if given.get(name) is value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_file_does_what_none_may(file: Path) -> None:
    assert list(forbidden(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        *("import pickle", "from joblib import load", "import yaml", "eval('1')", "exec('1')", "os.system('ls')"),
        *("torch.load('x')", "torch.load('x', weights_only=False)", "load('x', trust_remote_code=True)"),
        *("run('ls', shell=True)", "np.load('x', allow_pickle=True)", "YAML(typ='unsafe')", "archive.extractall('.')"),
        *("requests.get('x', verify=False)", "tempfile.mktemp()", "Environment(autoescape=False)"),
    ],
)
def test_each_of_these_would_be_found(source: str) -> None:
    assert list(forbidden(source))


@pytest.mark.parametrize("source", ["model.eval()", "re.compile('x')", "torch.load('x', weights_only=True)", "YAML()"])
def test_none_of_these_is(source: str) -> None:
    assert not list(forbidden(source))
