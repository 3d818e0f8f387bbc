// CSV that a spreadsheet opens as it was written.
import { describe, expect, it } from "vitest";
import { csvLine } from "~/domain/csv";

describe("a line of CSV", () => {
  it("quotes what would break it", () => {
    expect(csvLine(['say "hi"', "a,b", "two\nlines", " blank", null, 5, -5, 0])).toBe(
      '"say ""hi""","a,b","two\nlines"," blank",,5,-5,0\r\n',
    );
  });

  it.each(["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n+1"])("never begins a formula with %j", (text) => {
    expect(csvLine([text]).replace(/^"/, "").startsWith("'")).toBe(true);
  });

  it("leaves text alone that only has such a character inside", () => {
    expect(csvLine(["a=b", "1-2", "x@y.z"])).toBe("a=b,1-2,x@y.z\r\n");
  });
});
