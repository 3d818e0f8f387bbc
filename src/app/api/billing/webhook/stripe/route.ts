// Stripe's one door. Raw, because the signature is over the bytes.
import { now } from "~/server/clock";
import { receiveEvent } from "~/server/webhooks/receive";

export const runtime = "nodejs";
export const dynamic = "force-dynamic";

export async function POST(request: Request): Promise<Response> {
  const answer = await receiveEvent(request, now());
  return Response.json(answer.body, { status: answer.status });
}
