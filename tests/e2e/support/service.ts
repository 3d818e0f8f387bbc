// A service as a customer of Billfold would write it: another process, an API key, the client. It does what the first
// argument lists and prints what came of each, as JSON.
import { createBillingClient, isBillingError } from "~/client/index";

const { BILLFOLD_URL = "", BILLFOLD_API_KEY = "", ORGANIZATION_ID = "" } = process.env;
const billing = createBillingClient({ url: BILLFOLD_URL, apiKey: BILLFOLD_API_KEY });
const work = JSON.parse(process.argv[2] ?? "[]") as { eventName: string; quantity: number; idempotencyKey: string }[];

const answers: unknown[] = [];
for (const one of work) {
  try {
    answers.push(await billing.consume({ organizationId: ORGANIZATION_ID, ...one }));
  } catch (error) {
    if (!isBillingError(error, "INSUFFICIENT_CREDITS")) throw error;
    answers.push({ refused: error.code, status: error.httpStatus, ...error.details });
  }
}
console.log(JSON.stringify(answers));
