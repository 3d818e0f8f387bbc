// The PDF of a credit note.
import { formatMoney } from "../money";
import type { PageContext } from "./context";
import { formatDate, message, type PageAnswer } from "./layout";
import { makePdf, type PdfText } from "./pdf";

/** `/credit-notes/:note/:secret/pdf` */
export function creditNotePage({ world }: PageContext, [id = "", secret = "", step]: string[]): PageAnswer {
  const note = world.creditNotes.get(id);
  if (!note?.pdf.endsWith(`/credit-notes/${id}/${secret}/pdf`) || secret === "" || step !== "pdf") {
    return message("Nothing here", "There is no such credit note.", 404);
  }
  const money = (amount: number) => formatMoney(amount, note.currency);
  const rows = world.creditNoteLines
    .by("note", id)
    .map((line): [string, string] => [(line.description ?? "").slice(0, 80), money(line.amount)]);
  const taxes = (note.total_taxes ?? []).reduce(
    (sum, tax) => sum + (tax.tax_behavior === "exclusive" ? tax.amount : 0),
    0,
  );
  if (note.discount_amount > 0) rows.push(["Discounts", money(-note.discount_amount)]);
  if (taxes > 0) rows.push(["Tax", money(taxes)]);
  rows.push(["Credited", money(note.total)]);
  const texts: PdfText[] = [
    { text: "Credit note", x: 50, y: 70, size: 22, bold: true },
    { text: "Stripe sandbox: a stand-in, no money moves", x: 545, y: 68, size: 9, right: true },
    { text: `Number ${note.number}${note.status === "void" ? " (void)" : ""}`, x: 50, y: 100 },
    { text: `Issued ${formatDate(note.effective_at ?? note.created)}`, x: 50, y: 116 },
    ...rows.flatMap(([name, amount], row): PdfText[] => [
      { text: name, x: 50, y: 160 + row * 18 },
      { text: amount, x: 545, y: 160 + row * 18, right: true },
    ]),
  ];
  return {
    status: 200,
    headers: {
      "content-type": "application/pdf",
      "content-disposition": `inline; filename="CreditNote-${note.number}.pdf"`,
    },
    body: makePdf([texts], `Credit note ${note.number}`),
  };
}
