"""The report's style sheet and script, which go into the page itself."""

STYLE = """
:root { color-scheme: light dark;
  --page: #f6f6f3; --card: #fcfcfb; --ink: #15150f; --soft: #52514e; --faint: #77756f; --rule: #e1e0d9; --grid: #e8e7e1;
  --good: #0a6b0a; --bad: #b32525; --good-wash: #e3f2e1; --bad-wash: #fbe6e4; --wash: #efeee9; --link: #1c5cab;
  --s0: #52514e; --s1: #2a78d6; --s2: #eb6834; --s3: #1baf7a; --s4: #4a3aa7; --s5: #eda100; --s6: #e34948;
  --s7: #008300; --s8: #e87ba4; }
@media (prefers-color-scheme: dark) { :root {
  --page: #0f0f0e; --card: #1a1a19; --ink: #f4f4f1; --soft: #c3c2b7; --faint: #97958d; --rule: #343431; --grid: #2b2b28;
  --good: #4fc04f; --bad: #f08a84; --good-wash: #16301a; --bad-wash: #3a1c1a; --wash: #262624; --link: #86b6ef;
  --s0: #c3c2b7; --s1: #3987e5; --s2: #d95926; --s3: #199e70; --s4: #9085e9; --s5: #c98500; --s6: #e66767;
  --s7: #4aa84a; --s8: #d55181; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main, header, nav { max-width: 1320px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 32px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 44px 0 6px; scroll-margin-top: 52px; }
h3 { font-size: 15px; margin: 0; overflow-wrap: anywhere; }
p { margin: 6px 0; max-width: 78ch; }
a { color: var(--link); }
.soft, figcaption, small { color: var(--soft); }
nav { position: sticky; top: 0; z-index: 5; background: var(--page); border-bottom: 1px solid var(--rule);
  display: flex; gap: 18px; overflow-x: auto; white-space: nowrap; padding-top: 10px; padding-bottom: 10px; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
.tiles, .grid, .cards { display: grid; gap: 14px; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); margin-top: 12px; }
.grid { grid-template-columns: repeat(auto-fill, minmax(min(100%, 540px), 1fr)); }
.grid.small { grid-template-columns: repeat(auto-fill, minmax(min(100%, 260px), 1fr)); margin-top: 10px; }
.tile, figure, .card, details {
  background: var(--card); border: 1px solid var(--rule); border-radius: 10px; margin: 0; }
.tile, figure, .card { padding: 14px 16px; min-width: 0; }
.tile dl { display: grid; grid-template-columns: 1fr auto; gap: 2px 14px; margin: 8px 0 0; }
.tile dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
details { margin: 10px 0; padding: 0 16px; }
details[open] { padding-bottom: 14px; }
details figure { border: 0; padding: 0; }
summary { cursor: pointer; padding: 10px 0; font-weight: 600; overflow-wrap: anywhere; }
figcaption { font-size: 13px; margin-top: 4px; }
figure .scroll { border: 0; background: none; }
.badge { display: inline-block; border-radius: 20px; padding: 0 9px; font-size: 12px; background: var(--wash);
  color: var(--soft); font-weight: 400; white-space: nowrap; }
.badge.good { background: var(--good-wash); color: var(--good); }
.badge.bad { background: var(--bad-wash); color: var(--bad); }
.good { color: var(--good); } .bad { color: var(--bad); }
.scroll { overflow: auto; border: 1px solid var(--rule); border-radius: 10px; background: var(--card);
  margin-top: 10px; }
.scroll.tall { max-height: 520px; }
details .scroll { border: 0; margin: 0; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { padding: 4px 8px; text-align: right; border-bottom: 1px solid var(--rule); vertical-align: top;
  font-variant-numeric: tabular-nums; }
tbody tr:last-child > * { border-bottom: 0; }
thead th { position: sticky; top: 0; background: var(--card); vertical-align: bottom; z-index: 1; }
thead th small { font-weight: 400; display: block; }
tbody th, .left { text-align: left; }
tbody th { font-weight: 500; white-space: nowrap; position: sticky; left: 0; background: var(--card); }
td small { display: block; font-size: 11.5px; font-weight: 400; white-space: nowrap; color: var(--faint); }
td small.wrap { white-space: normal; min-width: 110px; }
td.best { font-weight: 700; }
tr.ours > th { font-weight: 700; }
tr:hover > * { background: var(--wash); }
th button { all: unset; cursor: pointer; }
th button:focus-visible, .switch:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
th[aria-sort] button::after { content: "\\a0\\2195"; color: var(--faint); }
th[aria-sort=ascending] button::after { content: "\\a0\\2191"; color: var(--ink); }
th[aria-sort=descending] button::after { content: "\\a0\\2193"; color: var(--ink); }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 50%; background: var(--c); margin-right: 7px; }
.switches { display: flex; flex-wrap: wrap; gap: 6px; margin: 12px 0; }
.switch { font: inherit; font-size: 13px; border: 1px solid var(--rule); border-radius: 20px; background: var(--card);
  color: var(--ink); padding: 2px 12px; cursor: pointer; }
.switch[aria-pressed=false] { opacity: .45; text-decoration: line-through; }
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); } .s4 { --c: var(--s4); }
.s5 { --c: var(--s5); } .s6 { --c: var(--s6); } .s7 { --c: var(--s7); } .s8 { --c: var(--s8); }
svg { display: block; width: 100%; height: auto; font: 11.5px system-ui, sans-serif; }
.curves svg { min-width: 500px; }
.small svg { max-width: 340px; }
svg text { fill: var(--soft); }
svg .rule { stroke: var(--rule); fill: none; stroke-width: 1; shape-rendering: crispEdges; }
svg .axis { stroke: var(--faint); }
svg .equal { stroke: var(--faint); stroke-dasharray: 4 4; }
.line polyline { fill: none; stroke: var(--c); stroke-width: 1.6; stroke-linejoin: round; }
.line.ours polyline { stroke-width: 2.6; }
.line.again polyline { stroke-dasharray: 5 3; }
.line .bar { stroke: var(--c); stroke-width: 1.4; opacity: .6; }
.line .dot { fill: var(--c); stroke: var(--card); stroke-width: 1.5; }
.hit { fill: transparent; } .hit:hover { fill: var(--c); opacity: .25; }
.label text { fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 3px; stroke-linejoin: round; }
.label.ours text { font-weight: 700; }
.dots circle { fill: var(--c); fill-opacity: .6; stroke: var(--card); stroke-width: 1; }
.off { display: none; }
.sounds { display: grid; gap: 16px; align-items: end; margin-top: 8px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 360px), 1fr)); }
.sounds img, .sounds audio { width: 100%; display: block; margin-top: 6px; }
footer { margin: 48px 0 32px; font-size: 13px; color: var(--faint); }
@media print { nav, .switches { display: none; } .scroll.tall { max-height: none; } }
"""

SCRIPT = """
for (const button of document.querySelectorAll('th button')) button.addEventListener('click', () => {
  const head = button.closest('th'), table = head.closest('table'), body = table.tBodies[0];
  const column = [...head.parentNode.children].indexOf(head);
  const up = head.getAttribute('aria-sort') === 'descending';
  for (const other of head.parentNode.querySelectorAll('[aria-sort]')) other.setAttribute('aria-sort', 'none');
  head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
  const value = row => row.children[column].dataset.v ?? row.children[column].textContent.trim();
  const compare = (a, b) => {
    if (a === '' || b === '') return (a === '') - (b === '');
    const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
    return up ? order : -order;
  };
  body.append(...[...body.rows].sort((a, b) => compare(value(a), value(b))));
});
for (const button of document.querySelectorAll('.switch')) button.addEventListener('click', () => {
  const on = button.getAttribute('aria-pressed') !== 'true';
  button.setAttribute('aria-pressed', on);
  for (const part of document.querySelectorAll(`svg [data-codec="${button.dataset.codec}"]`))
    part.classList.toggle('off', !on);
});
const show = () => {
  const target = /^#clip-\\d+$/.test(location.hash) && document.querySelector(location.hash);
  if (target) { target.open = true; target.scrollIntoView(); }
};
addEventListener('hashchange', show);
show();
"""
