// How the pages look: quiet, ruled, one green. Light and dark, from a phone up.

export const STYLE = `
:root{color-scheme:light dark;
--bg:light-dark(oklch(.984 .002 172),oklch(.172 .006 172));
--surface:light-dark(oklch(1 0 0),oklch(.205 .007 172));
--sunken:light-dark(oklch(.969 .003 172),oklch(.236 .008 172));
--line:light-dark(oklch(.915 .004 172),oklch(.292 .008 172));
--control:light-dark(oklch(.64 .01 172),oklch(.54 .012 172));
--ink:light-dark(oklch(.212 .014 172),oklch(.948 .004 172));
--ink2:light-dark(oklch(.425 .014 172),oklch(.775 .008 172));
--ink3:light-dark(oklch(.525 .012 172),oklch(.668 .01 172));
--accent:light-dark(oklch(.435 .086 170),oklch(.79 .115 168));
--accent2:light-dark(oklch(.375 .078 170),oklch(.84 .11 168));
--onaccent:light-dark(oklch(.99 .008 170),oklch(.18 .03 170));
--warn:light-dark(oklch(.5 .105 68),oklch(.83 .125 80));
--warntint:light-dark(oklch(.984 .014 88),oklch(.238 .02 78));
--danger:light-dark(oklch(.5 .17 27),oklch(.76 .14 25));
--dangertint:light-dark(oklch(.98 .008 25),oklch(.242 .028 25))}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:14px/22px system-ui,-apple-system,"Segoe UI",sans-serif;font-variant-numeric:tabular-nums}
.notice{background:var(--warntint);color:var(--warn);border-bottom:1px solid var(--line);padding:8px 16px;text-align:center;font-size:13px;line-height:20px}
.notice a{color:inherit}
main{max-width:960px;margin:0 auto;padding:32px 24px 64px}
main.narrow{max-width:480px}
h1{font-size:20px;line-height:28px;letter-spacing:-.022em;margin:0 0 16px;font-weight:600}
h2{font-size:14px;line-height:22px;margin:32px 0 8px;font-weight:600}
p{margin:0 0 12px}
a{color:var(--accent)}
.amount{font-size:32px;line-height:40px;letter-spacing:-.022em;font-weight:600;margin:0 0 4px}
.quiet{color:var(--ink3)}.small{font-size:13px;line-height:20px}.num{text-align:right;white-space:nowrap}
.split{display:grid;grid-template-columns:1fr 1fr;gap:48px;align-items:start}
.panel{background:var(--surface);border:1px solid var(--line);border-radius:6px;padding:20px}
table{width:100%;border-collapse:collapse;font-size:13px;line-height:20px}
th{text-align:left;font-weight:500;color:var(--ink3);font-size:12px}
th,td{padding:9px 12px 9px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
th:last-child,td:last-child{padding-right:0}
tr.total td{font-weight:600;border-bottom:0}
.field{margin:0 0 16px}
input[type=radio]{width:auto;height:auto;margin:0 8px 0 0}
label{display:block;font-weight:500;margin:0 0 4px}
input,select{width:100%;height:40px;padding:0 12px;border:1px solid var(--control);border-radius:4px;background:var(--surface);color:var(--ink);font-family:inherit;font-size:16px;line-height:24px}
input[aria-invalid=true]{border-color:var(--danger)}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:12px}
.wrong{color:var(--danger);font-size:13px;line-height:20px;margin:4px 0 0}
.alert{background:var(--dangertint);color:var(--danger);border:1px solid var(--danger);border-radius:4px;padding:10px 12px;margin:0 0 16px}
button,.button{display:inline-block;min-height:40px;padding:8px 16px;border:1px solid var(--control);border-radius:4px;background:var(--surface);color:var(--ink);font-family:inherit;font-size:14px;line-height:22px;font-weight:500;cursor:pointer;text-decoration:none;text-align:center}
button.primary{background:var(--accent);border-color:var(--accent);color:var(--onaccent)}
button.primary:hover{background:var(--accent2);border-color:var(--accent2)}
button.wide{width:100%;min-height:44px}
button.link{border:0;background:none;padding:0;min-height:0;color:var(--accent);text-decoration:underline}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
details{margin:16px 0 0;font-size:13px;line-height:20px}summary{cursor:pointer;color:var(--ink2)}
code{font:13px/20px ui-monospace,Menlo,monospace}
.row{display:flex;gap:12px;flex-wrap:wrap;align-items:center}
.soon{color:var(--warn)}.now{color:var(--danger)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:13px/20px ui-monospace,Menlo,monospace;background:var(--sunken);padding:16px;border-radius:4px}
iframe{width:100%;height:420px;border:1px solid var(--line);border-radius:4px;background:#fff}
ul.plain{list-style:none;margin:0;padding:0}ul.plain li{padding:6px 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
nav{display:flex;gap:20px;flex-wrap:wrap;max-width:960px;margin:0 auto;padding:14px 24px 0;font-size:13px}
nav a{color:var(--ink2);text-decoration:none;padding:4px 0}nav a:hover{color:var(--ink);text-decoration:underline}
.panel h2{margin-top:0}.big{font-size:20px;line-height:28px;letter-spacing:-.022em;font-weight:600;margin:0 0 4px}
button.small,.button.small{min-height:32px;padding:4px 10px;font-size:13px;line-height:20px}
td .row{margin-top:8px;gap:8px}td .row form{margin:0}
label.inline{margin:0}input.short,select.short{width:auto;min-width:0;max-width:100%;flex:0 1 20rem;height:32px;padding:0 8px;font-size:14px;line-height:20px}
.state{display:inline-block;padding:0 7px;border:1px solid var(--line);border-radius:10px;font-size:12px;line-height:18px;color:var(--ink2);background:var(--sunken);white-space:nowrap}
.state.good{color:var(--accent)}.state.bad{color:var(--danger);background:var(--dangertint)}
th{white-space:nowrap}.scroll{overflow-x:auto}
@media (max-width:720px){.scroll table{min-width:36rem}.scroll table.stack{min-width:0}
.stack thead{position:absolute;clip-path:inset(50%);height:1px;overflow:hidden}.stack tr,.stack td{display:block}.stack tr{padding:10px 0;border-bottom:1px solid var(--line)}
.stack td{border:0;padding:0;text-align:left}.stack td:empty{display:none}td .row{margin-bottom:4px}
main{padding:24px 16px 48px}nav{padding:12px 16px 0}input.short,select.short{font-size:16px;height:40px}.split{grid-template-columns:1fr;gap:24px}}
`;
