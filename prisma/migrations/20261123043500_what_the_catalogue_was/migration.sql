-- CreateTable
CREATE TABLE "subscription_plan_versions" (
    "plan_id" UUID NOT NULL,
    "held_until" TIMESTAMPTZ(3) NOT NULL,
    "version" INTEGER NOT NULL,
    "credits" BIGINT NOT NULL,
    "credit_interval" "billing_interval" NOT NULL,
    "trial_credits" BIGINT NOT NULL,

    CONSTRAINT "subscription_plan_versions_pkey" PRIMARY KEY ("plan_id","held_until")
);

-- CreateTable
CREATE TABLE "credit_product_versions" (
    "product_id" UUID NOT NULL,
    "held_until" TIMESTAMPTZ(3) NOT NULL,
    "version" INTEGER NOT NULL,
    "credits" BIGINT NOT NULL,

    CONSTRAINT "credit_product_versions_pkey" PRIMARY KEY ("product_id","held_until")
);

-- AddForeignKey
ALTER TABLE "subscription_plan_versions" ADD CONSTRAINT "subscription_plan_versions_plan_id_fkey" FOREIGN KEY ("plan_id") REFERENCES "subscription_plans"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "credit_product_versions" ADD CONSTRAINT "credit_product_versions_product_id_fkey" FOREIGN KEY ("product_id") REFERENCES "credit_products"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- What Prisma cannot say of them: as the rest of the catalogue, everybody's to read. Only the triggers write them.
GRANT SELECT ON subscription_plan_versions, credit_product_versions TO billfold_app, billfold_platform;

-- An edit holds from the instant that it names, or else from when it is made, and never from before the edit that it follows, however
-- clocks differ. A version that held for no time is not kept.
CREATE FUNCTION keep_plan_version() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
  AS $$
BEGIN
  INSERT INTO public.subscription_plan_versions (plan_id, held_until, version, credits, credit_interval, trial_credits)
  VALUES (OLD.id,
    greatest(CASE WHEN NEW.updated_at <> OLD.updated_at THEN NEW.updated_at ELSE clock_timestamp() END,
      (SELECT max(held_until) FROM public.subscription_plan_versions WHERE plan_id = OLD.id)),
    OLD.version, OLD.credits, OLD.credit_interval, OLD.trial_credits)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER kept AFTER UPDATE ON subscription_plans FOR EACH ROW
  WHEN ((OLD.version, OLD.credits, OLD.credit_interval, OLD.trial_credits) IS DISTINCT FROM (NEW.version, NEW.credits, NEW.credit_interval, NEW.trial_credits))
  EXECUTE FUNCTION keep_plan_version();

CREATE FUNCTION keep_product_version() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
  AS $$
BEGIN
  INSERT INTO public.credit_product_versions (product_id, held_until, version, credits)
  VALUES (OLD.id,
    greatest(CASE WHEN NEW.updated_at <> OLD.updated_at THEN NEW.updated_at ELSE clock_timestamp() END,
      (SELECT max(held_until) FROM public.credit_product_versions WHERE product_id = OLD.id)),
    OLD.version, OLD.credits)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER kept AFTER UPDATE ON credit_products FOR EACH ROW
  WHEN ((OLD.version, OLD.credits) IS DISTINCT FROM (NEW.version, NEW.credits))
  EXECUTE FUNCTION keep_product_version();
REVOKE EXECUTE ON FUNCTION keep_plan_version(), keep_product_version() FROM PUBLIC;
