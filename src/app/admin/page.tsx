// The platform's own address leads to what may be stuck.
import { redirect } from "next/navigation";
import { requirePlatformAdmin } from "../_trpc/server";

export default async function AdminPage() {
  await requirePlatformAdmin("/admin");
  redirect("/admin/webhooks");
}
