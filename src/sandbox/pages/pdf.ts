// A real PDF, written by hand: text in Helvetica on A4 pages.

export interface PdfText {
  text: string;
  /** Points from the left edge; with `right`, where the text ends. */
  x: number;
  /** Points from the top edge. */
  y: number;
  size?: number;
  bold?: boolean;
  right?: boolean;
}

const WIDTH = 595;
const HEIGHT = 842;
/** Widths of Helvetica's digits and common signs, in thousandths; letters are near enough at their average. */
const NARROW: Record<string, number> = {
  ".": 278,
  ",": 278,
  " ": 278,
  "-": 333,
  "(": 333,
  ")": 333,
  i: 222,
  l: 222,
  I: 278,
};

function widthOf(text: string, size: number): number {
  let thousandths = 0;
  for (const character of text) thousandths += NARROW[character] ?? 556;
  return (thousandths * size) / 1000;
}

/** Text in WinAnsi, as a PDF string; what it cannot write becomes a question mark. */
function literal(text: string): string {
  const special: Record<string, string> = { "€": "\\200", "–": "\\226", "—": "\\227", "’": "\\222", "−": "-" };
  let out = "";
  for (const character of text) {
    const code = character.codePointAt(0) ?? 63;
    if (special[character]) out += special[character];
    else if ("()\\".includes(character)) out += `\\${character}`;
    else if (code < 128) out += code < 32 ? " " : character;
    else out += code < 256 ? `\\${code.toString(8)}` : "?";
  }
  return out;
}

function content(texts: PdfText[]): string {
  return texts
    .map(({ text, x, y, size = 10, bold, right }) => {
      const left = right ? x - widthOf(text, size) : x;
      return `BT /F${bold ? 2 : 1} ${size} Tf 1 0 0 1 ${left.toFixed(1)} ${(HEIGHT - y).toFixed(1)} Tm (${literal(text)}) Tj ET`;
    })
    .join("\n");
}

/** A PDF of the given pages. */
export function makePdf(pages: PdfText[][], title: string): Buffer {
  const font = (name: string) => `<< /Type /Font /Subtype /Type1 /BaseFont /${name} /Encoding /WinAnsiEncoding >>`;
  const first = 6;
  const kids = pages.map((_, position) => `${first + position * 2} 0 R`).join(" ");
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    `<< /Type /Pages /Kids [${kids}] /Count ${pages.length} >>`,
    font("Helvetica"),
    font("Helvetica-Bold"),
    `<< /Title (${literal(title)}) /Producer (Stripe sandbox) >>`,
  ];
  for (const [position, texts] of pages.entries()) {
    const stream = content(texts);
    objects.push(
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${WIDTH} ${HEIGHT}] /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> /Contents ${first + position * 2 + 1} 0 R >>`,
      `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
    );
  }
  let file = "%PDF-1.4\n";
  const offsets: number[] = [];
  for (const [position, object] of objects.entries()) {
    offsets.push(file.length);
    file += `${position + 1} 0 obj\n${object}\nendobj\n`;
  }
  const start = file.length;
  const table = offsets.map((offset) => `${String(offset).padStart(10, "0")} 00000 n \n`).join("");
  file += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}`;
  file += `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R /Info 5 0 R >>\nstartxref\n${start}\n%%EOF\n`;
  return Buffer.from(file, "latin1");
}
