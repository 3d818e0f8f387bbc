// tRPC over HTTP where only Next runs. `npm start` answers the same address by `server/api/door.ts`.
import { answerRequest } from "~/server/api/handler";

export const runtime = "nodejs";
export const dynamic = "force-dynamic";

const handler = (request: Request): Promise<Response> => answerRequest(request);

export { handler as GET, handler as POST };
