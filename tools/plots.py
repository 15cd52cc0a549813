"""The page that `dvc plots show` and `dvc plots diff` write, with no content delivery network: `python tools/plots.py`.

DVC's own page loads Vega, Vega-Lite and Vega-Embed from one, and stays empty offline. `plots.html_template` in
.dvc/config names another page (`TEMPLATE`, from .dvc), which this makes: `{plot_divs}` is where DVC puts the plots, and
without `{scripts}` it has no place for its links. The libraries come from the wheel vl-convert-python, which Vega's own
authors publish; at 0.9 MB they are made on each machine (`make` does it with .venv) rather than kept in git.

The content security policy keeps the page from asking anybody for anything. 'unsafe-eval' is for Vega, which compiles
its expressions.
"""

from pathlib import Path

TEMPLATE = Path(".dvc/plots/page.html")
VEGALITE = "5.21"  # DVC's templates are written for version 5
NAMED = "window.vegaEmbed = vegaEmbed;"  # what DVC's scripts call
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; \
style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>breviary: plots</title>
<style>
body { font-family: system-ui, sans-serif; margin: 1.5rem; background: #fff; color: #211e1a; }
body > div { overflow-x: auto; margin-bottom: 2rem; }
</style>
<script>
LIBRARIES
</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""
PLACEHOLDERS = ("{plot_divs}", "{scripts}", "{refresh_tag}", "</script")  # DVC, or the browser, would read them


def page(libraries: str) -> str:
    """The template with `libraries` (JavaScript) inside. Raises SystemExit where they would not survive it."""
    if found := [each for each in PLACEHOLDERS if each in libraries.lower()]:
        raise SystemExit(
            f"the libraries hold {', '.join(found)}, which this page cannot; pin another vl-convert-python"
        )
    return PAGE.replace("LIBRARIES", libraries)


def main() -> None:
    """Write the template, if it is not there as it should be."""
    import vl_convert

    made = page(vl_convert.javascript_bundle(NAMED, VEGALITE))
    if not TEMPLATE.is_file() or TEMPLATE.read_text(encoding="utf-8") != made:
        TEMPLATE.parent.mkdir(parents=True, exist_ok=True)
        TEMPLATE.write_text(made, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
