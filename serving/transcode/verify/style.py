"""The style sheet of a report's page, which goes into the page itself."""

STYLE = """
:root { color-scheme: light dark;
  --page: #f6f6f3; --card: #fcfcfb; --ink: #15150f; --soft: #52514e; --rule: #e1e0d9; --bar: #2a78d6;
  --good: #0a6b0a; --bad: #b32525; --wash: #efeee9; }
@media (prefers-color-scheme: dark) { :root {
  --page: #0f0f0e; --card: #1a1a19; --ink: #f4f4f1; --soft: #c3c2b7; --rule: #343431; --bar: #3987e5;
  --good: #4fc04f; --bad: #f08a84; --wash: #262624; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main, header { max-width: 1180px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 32px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 40px 0 6px; }
h3 { font-size: 14px; margin: 0; }
p { margin: 6px 0; max-width: 78ch; }
.soft, small { color: var(--soft); }
.good { color: var(--good); } .bad { color: var(--bad); }
.tiles, .grid, .sounds { display: grid; gap: 14px; margin-top: 12px; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(104px, 1fr)); }
.grid { grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); }
.sounds { grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); margin: 0 0 14px; }
.tile, figure, details, .scroll {
  background: var(--card); border: 1px solid var(--rule); border-radius: 10px; margin: 0; }
.tile, figure { padding: 12px 14px; }
.tile b { display: block; font-size: 24px; line-height: 1.2; font-variant-numeric: tabular-nums; }
figcaption { font-weight: 600; margin-bottom: 6px; }
figcaption small { font-weight: 400; }
details { margin: 10px 0; padding: 0 16px; }
summary { cursor: pointer; padding: 10px 0; font-weight: 600; overflow-wrap: anywhere; }
summary small { font-weight: 400; }
audio, img { width: 100%; display: block; margin-top: 6px; }
img { border-radius: 4px; height: auto; }
.scroll { overflow: auto; max-height: 520px; margin-top: 10px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { padding: 4px 10px; text-align: left; border-bottom: 1px solid var(--rule); vertical-align: top; }
td { overflow-wrap: anywhere; }
thead th { position: sticky; top: 0; background: var(--card); }
svg { display: block; width: 100%; height: auto; font: 11.5px system-ui, sans-serif; }
svg text { fill: var(--soft); }
svg .rule { stroke: var(--rule); fill: none; }
svg .axis { stroke: var(--soft); fill: none; }
svg .bar { fill: var(--bar); } svg .below { fill: var(--bad); }
svg .floor { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 4 3; fill: none; }
footer { margin: 44px 0 32px; font-size: 13px; color: var(--soft); }
"""
