-- CreateTable
CREATE TABLE "stripe_invoices" (
    "id" TEXT NOT NULL,
    "organization_id" UUID NOT NULL,
    "sold" BIGINT NOT NULL,
    "given_back" BIGINT NOT NULL DEFAULT 0,
    "currency" TEXT NOT NULL,
    "synced_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "stripe_invoices_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "stripe_invoices_organization_id_idx" ON "stripe_invoices"("organization_id");

-- What Prisma cannot say of it: tenants, privileges, what no row may be.
ALTER TABLE stripe_invoices ENABLE ROW LEVEL SECURITY;
ALTER TABLE stripe_invoices FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON stripe_invoices TO billfold_app USING (organization_id = (SELECT current_organization_id())) WITH CHECK (organization_id = (SELECT current_organization_id()));
CREATE POLICY platform ON stripe_invoices TO billfold_platform USING (true) WITH CHECK (true);
GRANT SELECT ON stripe_invoices TO billfold_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON stripe_invoices TO billfold_platform;
ALTER TABLE stripe_invoices ADD CONSTRAINT invoice_amounts CHECK (sold >= 0 AND given_back >= 0);
