// Signing in and out, by NextAuth.
import { NextRequest } from "next/server";
import NextAuth from "next-auth";
import { authOptions } from "~/server/auth/options";
import { readBody } from "~/server/http";

export const runtime = "nodejs";
export const dynamic = "force-dynamic";

// An email address and a token; NextAuth itself would read any number of bytes.
const MAX_BODY_BYTES = 16 * 1024;

type Context = { params: Promise<{ nextauth: string[] }> };

async function GET(request: NextRequest, context: Context): Promise<Response> {
  return NextAuth(request, context, authOptions());
}

async function POST(request: NextRequest, context: Context): Promise<Response> {
  const { nextauth } = await context.params;
  // NextAuth's way for browsers to write into our log. Anybody could.
  if (nextauth[0] === "_log") return new Response(null, { status: 204 });
  const body = await readBody(request, MAX_BODY_BYTES);
  if (body === null) return new Response(null, { status: 413 });
  if (request.headers.get("content-type")?.includes("application/json") && !isJson(body)) {
    return new Response(null, { status: 400 });
  }
  return NextAuth(
    new NextRequest(request.url, { method: "POST", headers: request.headers, body }),
    context,
    authOptions(),
  );
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

export { GET, POST };
