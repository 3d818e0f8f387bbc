// /v1/credit_notes
import { createCreditNote, type NewCreditNote, planCreditNote, voidCreditNote } from "../engine/credit-notes";
import { page, pageInOrder } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { Invoice } from "../types";
import type { World } from "../world";
import { find } from "./find";

const shape = {
  invoice: p.required(p.string()),
  amount: p.integer({ min: 1 }),
  credit_amount: p.integer({ min: 0 }),
  effective_at: p.integer(),
  email_type: p.oneOf("credit_note", "none"),
  lines: p.list(
    p.object({
      type: p.required(p.oneOf("custom_line_item", "invoice_line_item")),
      amount: p.integer({ min: 1 }),
      description: p.string(),
      invoice_line_item: p.string(),
      metadata: p.metadata(),
      quantity: p.integer({ min: 1 }),
      unit_amount: p.integer({ min: 0 }),
      unit_amount_decimal: p.decimal(),
    }),
  ),
  memo: p.string(),
  metadata: p.metadata(),
  out_of_band_amount: p.integer({ min: 0 }),
  reason: p.oneOf("duplicate", "fraudulent", "order_change", "product_unsatisfactory"),
  refund_amount: p.integer({ min: 0 }),
  refunds: p.list(
    p.object({ refund: p.required(p.string()), amount_refunded: p.integer({ min: 1 }), type: p.oneOf("refund") }),
  ),
} satisfies p.Shape;

type Given = p.Params<typeof shape>;

/** The invoice that is meant, and the note as the engine takes it. */
function read(world: World, given: Given): { invoice: Invoice; note: NewCreditNote } {
  const { email_type: _, invoice: id, lines, metadata, ...rest } = given;
  return {
    invoice: find(world.invoices, "invoice", id, "invoice"),
    note: {
      ...rest,
      lines: lines?.map((line) => ({ ...line, metadata: p.mergeMetadata(null, line.metadata) })),
      metadata: p.mergeMetadata(null, metadata),
    },
  };
}

function preview(world: World, given: Given) {
  const { invoice, note } = read(world, given);
  return world.onClockOf(invoice.customer, () => planCreditNote(world, invoice, note));
}

export const creditNotes: Route[] = [
  route("POST", "/v1/credit_notes", shape, (world, given) => {
    const { invoice, note } = read(world, given);
    return world.onClockOf(invoice.customer, () => createCreditNote(world, invoice.id, note));
  }),
  route("GET", "/v1/credit_notes/preview", shape, (world, given) => {
    const { note, lines } = preview(world, given);
    return { ...note, lines: { ...note.lines, data: lines } };
  }),
  route("GET", "/v1/credit_notes/preview/lines", { ...shape, ...p.pagination }, (world, given) => {
    const { limit, starting_after, ending_before, ...rest } = given;
    const cursors = { limit, starting_after, ending_before };
    return pageInOrder(preview(world, rest).lines, "/v1/credit_notes/preview/lines", "credit_note_line_item", cursors);
  }),
  route("GET", "/v1/credit_notes/:id", {}, (world, _, [id]) => find(world.creditNotes, "credit note", id)),
  route("POST", "/v1/credit_notes/:id", { memo: p.string(), metadata: p.metadata() }, (world, given, [id]) => {
    const before = find(world.creditNotes, "credit note", id);
    return world.change(
      world.creditNotes,
      id,
      { memo: given.memo ?? before.memo, metadata: p.mergeMetadata(before.metadata, given.metadata) },
      "credit_note.updated",
    );
  }),
  route("POST", "/v1/credit_notes/:id/void", {}, (world, _, [id]) => {
    const note = find(world.creditNotes, "credit note", id);
    return world.onClockOf(note.customer, () => voidCreditNote(world, note));
  }),
  route("GET", "/v1/credit_notes/:id/lines", p.pagination, (world, given, [id]) => {
    find(world.creditNotes, "credit note", id);
    const lines = world.creditNoteLines.by("note", id).map(({ note: _, ...line }) => line);
    return pageInOrder(lines, `/v1/credit_notes/${id}/lines`, "credit_note_line_item", given);
  }),
  route(
    "GET",
    "/v1/credit_notes",
    { ...p.pagination, created: p.range(), customer: p.string(), invoice: p.string() },
    (world, given) => {
      const among = given.invoice
        ? world.creditNotes.by("invoice", given.invoice)
        : given.customer
          ? world.creditNotes.by("customer", given.customer)
          : [...world.creditNotes.values()];
      const found = among.filter(
        (note) =>
          (!given.created || p.inRange(note.created, given.created)) &&
          (!given.customer || note.customer === given.customer),
      );
      return page(found, "/v1/credit_notes", "credit note", given);
    },
  ),
];
