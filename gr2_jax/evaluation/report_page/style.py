"""The report's style, and its colours as CSS variables, one set for light and one for dark screens.

Series differ in lightness as well as in hue, and grades in lightness above all, so that neither needs colour vision.
"""

SERIES, GRADES = 8, 5  # how many colours there are of each

_LIGHT = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "soft": "#59636e",
    "line": "#d4d9de",
    "fill": "#f4f6f8",
    "link": "#0b5cad",
    "query": "#d1460b",
    "gain": "#0b6fb8",
    "loss": "#c2570c",
    **{
        f"s{i}": colour
        for i, colour in enumerate(
            ("#0a5fa8", "#d1600a", "#0d8a66", "#8a3fa0", "#9a7400", "#3aa0dc", "#b03060", "#4d5560")
        )
    },
    **{f"g{i}": colour for i, colour in enumerate(("#dcebf7", "#a3c8e8", "#6a9fd0", "#2f6fb3", "#072f66"))},
}
_DARK = {
    "paper": "#14181d",
    "ink": "#e4e8ec",
    "soft": "#9aa5b1",
    "line": "#38414b",
    "fill": "#1c2229",
    "link": "#7cb8f2",
    "query": "#ff9257",
    "gain": "#5fb0f0",
    "loss": "#f0924a",
    **{
        f"s{i}": colour
        for i, colour in enumerate(
            ("#5fb0f0", "#f58f45", "#3fcf9f", "#cf8fe3", "#d9b53c", "#a5dcff", "#f07fa6", "#aab4bf")
        )
    },
    **{f"g{i}": colour for i, colour in enumerate(("#26415c", "#38689a", "#5597d1", "#95c8f2", "#edf6ff"))},
}

COLOURS = tuple(_LIGHT)
"""Names of the CSS variables."""


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


STYLE = f"""
:root{{color-scheme:light dark;{_variables(_LIGHT)}}}
@media (prefers-color-scheme:dark){{:root{{{_variables(_DARK)}}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}}
main{{max-width:1040px;margin:0 auto;padding:24px 20px 64px}}
h1{{font-size:1.7rem;line-height:1.25;margin:.2em 0 .3em}}
h2{{font-size:1.25rem;margin:0 0 .5em}}
h3{{font-size:1rem;margin:1.6em 0 .4em}}
section{{border-top:1px solid var(--line);padding-top:22px;margin-top:30px}}
p{{margin:.5em 0;max-width:75ch}}
.note,figcaption,small,nav{{color:var(--soft)}}
.note,figcaption{{font-size:.875rem;line-height:1.45}}
a{{color:var(--link)}}
nav{{display:flex;flex-wrap:wrap;gap:4px 18px;margin-top:12px}}
.wide{{overflow-x:auto;margin:.8em 0}}
table{{border-collapse:separate;border-spacing:0;font-size:.875rem;line-height:1.4;
font-variant-numeric:tabular-nums;overflow-wrap:normal}}
th,td{{padding:5px 12px 5px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}}
th{{font-weight:600;color:var(--soft);vertical-align:bottom}}
tr>:first-child{{position:sticky;left:0;background:var(--paper)}}
.n{{text-align:right;white-space:nowrap;padding-left:6px}}
td bdi{{display:inline-block;max-width:36em;overflow-wrap:anywhere}}
td .long{{min-width:min(12em,40vw)}}
td bdi:not(.long){{overflow-wrap:break-word}}
td small{{display:block;font-size:.75rem}}
code{{font:.8125rem/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}}
.figures{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:18px 28px;margin:1em 0}}
.figures>*{{min-width:0}}
figure{{margin:0;max-width:540px}}
figure svg{{display:block;width:100%;height:auto}}
svg text{{font-family:inherit!important}}
.key{{display:flex;flex-wrap:wrap;gap:3px 16px;font-size:.875rem;margin:.5em 0;padding:0;list-style:none}}
.swatch{{display:inline-block;width:.75em;height:.75em;border-radius:50%;margin-right:.45em;
border:1px solid var(--soft)}}
details{{margin:.8em 0}}
summary{{cursor:pointer;color:var(--link)}}
@media (max-width:600px){{body{{font-size:15px}}main{{padding:14px 14px 48px}}
td code{{display:inline-block;width:44vw;overflow-wrap:anywhere}}}}
@media print{{main{{max-width:none;padding:0}}section{{break-inside:avoid-page}}}}
"""
