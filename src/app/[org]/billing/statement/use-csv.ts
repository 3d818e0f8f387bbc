"use client";
// The whole statement as a file, fetched page by page so that neither the server nor the line has to carry it at once.
import { useState } from "react";
import { trpc } from "../../../_trpc/react";

export type CsvState =
  | { step: "idle" | "failed" }
  /** What of how many rows is there. */
  | { step: "loading"; rows: number; total: number };

export function useCsv(range: { organizationId: string; from: Date; to: Date }, fileName: string) {
  const { client } = trpc.useUtils();
  const [state, setState] = useState<CsvState>({ step: "idle" });

  async function download() {
    setState({ step: "loading", rows: 0, total: 0 });
    try {
      // The mark tells spreadsheets that this is UTF-8.
      const parts: string[] = ["\ufeff"];
      let rows = 0;
      let cursor: number | null = null;
      do {
        const page: Awaited<ReturnType<typeof client.credits.statementCsv.query>> =
          await client.credits.statementCsv.query({ ...range, cursor });
        parts.push(page.text);
        rows += page.rows;
        cursor = page.nextCursor;
        setState({ step: "loading", rows, total: page.total });
      } while (cursor !== null);
      save(new Blob(parts, { type: "text/csv;charset=utf-8" }), fileName);
      setState({ step: "idle" });
    } catch {
      setState({ step: "failed" });
    }
  }

  return { state, download };
}

function save(file: Blob, name: string): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken it over by then.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
