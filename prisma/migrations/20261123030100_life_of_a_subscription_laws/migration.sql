-- What Prisma cannot say of the life of a subscription: tenants, privileges, what no row may be, and what an account reads.

-- ── Row-level security ─────────────────────────────────────────────────────────────────────────────────────
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['allowance_returns', 'billing_notices', 'reconciliation_findings'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON %I TO billfold_app USING (organization_id = (SELECT current_organization_id())) WITH CHECK (organization_id = (SELECT current_organization_id()))', name);
    EXECUTE format('CREATE POLICY platform ON %I TO billfold_platform USING (true) WITH CHECK (true)', name);
    EXECUTE format('GRANT SELECT ON %I TO billfold_app', name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO billfold_platform', name);
  END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON reconciliations, stripe_account TO billfold_platform;
GRANT UPDATE (allowance_id, returned, rolled_over) ON credit_grants TO billfold_platform;
GRANT UPDATE (blocked_from) ON credit_accounts TO billfold_platform;

-- ── What no row may be ─────────────────────────────────────────────────────────────────────────────────────
ALTER TABLE stripe_account ADD CONSTRAINT one_row CHECK (id = 1);
ALTER TABLE subscription_plans ADD CONSTRAINT plan_options CHECK (rollover_cap >= 0 AND grace_days >= 0);
ALTER TABLE allowance_returns ADD CONSTRAINT time_given_back CHECK (until_at > from_at AND credits >= 0);
ALTER TABLE allowance_periods ADD CONSTRAINT upgrade_is_whole CHECK ((cause = '') = (total IS NULL) AND (total IS NULL) = (anchor IS NULL) AND coalesce(total, 0) >= 0 AND returned >= 0);

-- One price is for sale at a time, so that its name at Stripe is one price's.
CREATE UNIQUE INDEX one_plan_price_for_sale ON plan_prices (plan_id, interval, currency) WHERE active;
CREATE UNIQUE INDEX one_pack_price_for_sale ON credit_product_prices (product_id, currency) WHERE active;

-- ── Ways to find rows that only part of a table needs ──────────────────────────────────────────────────────
CREATE INDEX lots_of_allowances ON credit_grants (allowance_id) WHERE allowance_id IS NOT NULL;
-- Events of one customer are done one after the other, those of one object together; where the body names neither, an event is
-- alone. Events that a person must look at are few among many.
CREATE INDEX events_in_turn ON stripe_events ((coalesce(customer_id, object_id, id)), received_at) WHERE status IN ('received', 'processing', 'failed');
CREATE INDEX events_for_a_person ON stripe_events (received_at) WHERE status IN ('dead', 'quarantined', 'refused');
CREATE INDEX events_quarantined ON stripe_events (customer_id) WHERE status = 'quarantined';
CREATE INDEX events_by_end ON stripe_events (processed_at) WHERE status IN ('done', 'ignored', 'refused');
-- Payments that are overdue, and trials that end soon, are looked at each minute.
CREATE INDEX subscriptions_overdue ON organization_subscriptions (past_due_since) WHERE past_due_since IS NOT NULL;
CREATE UNIQUE INDEX one_reconciliation ON reconciliations ((true)) WHERE status = 'running';

-- ── What an account reads ──────────────────────────────────────────────────────────────────────────────────
-- A process that remembers an account must hear of a block as it does of a suspension.
DROP TRIGGER remembered ON credit_accounts;
CREATE TRIGGER remembered BEFORE UPDATE OF suspended_at, blocked_from ON credit_accounts FOR EACH ROW
  WHEN (NEW.version = OLD.version) EXECUTE FUNCTION raise_own_version();

-- A lot, its columns in the order in which the rule reads them.
CREATE OR REPLACE FUNCTION ledger_lot(g credit_grants) RETURNS json
  LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT json_build_array(g.id, g.source, g.remaining, g.held, ledger_ms(g.expires_at), ledger_ms(g.created_at), g.label, g.amount, g.frozen,
    g.to_take, g.taken, g.to_freeze, g.transferred, g.expired, g.transferable, g.origin_source, g.returned, g.rolled_over) $$;

CREATE OR REPLACE FUNCTION ledger_read(p_organizations uuid[]) RETURNS TABLE (state json)
  LANGUAGE sql STABLE
  SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
  AS $$
  SELECT json_build_object(
    'organizationId', a.organization_id, 'version', a.version, 'epoch', (SELECT epoch FROM ledger_epoch),
    'deleted', o.deleted_at IS NOT NULL, 'burnOrder', o.burn_order, 'spentPolicy', o.spent_policy, 'suspended', a.suspended_at IS NOT NULL,
    'blockedFrom', ledger_ms(a.blocked_from),
    'balance', a.balance, 'held', a.held, 'debt', a.debt, 'lastSeq', a.last_seq, 'lastAt', ledger_ms(a.last_at), 'lastHash', encode(a.last_hash, 'hex'),
    'lastLot', (SELECT t.grant_id FROM credit_transactions t WHERE t.organization_id = a.organization_id AND t.seq = a.last_seq),
    'lots', (SELECT json_agg(ledger_lot(g))
      FROM credit_grants g WHERE g.organization_id = a.organization_id AND g.open),
    'holds', (SELECT json_agg(json_build_array(h.id, h.kind, h.amount, h.captured, h.remaining, h.lots, h.budgets,
        ledger_ms(h.lease_ends_at), h.event_name, h.project, h.member_id, h.api_key_id, h.actor, ledger_ms(h.created_at)))
      FROM credit_holds h WHERE h.organization_id = a.organization_id AND h.open),
    'budgets', (SELECT json_agg(json_build_array(b.id, b.scope, b.subject, b."window", b."limit", b.since_seq,
        (SELECT json_agg(json_build_array(ledger_ms(u.window_start), u.used)) FROM (
          SELECT w.window_start, w.used FROM credit_budget_usage w WHERE w.organization_id = b.organization_id AND w.budget_id = b.id
          ORDER BY w.window_start DESC LIMIT 3) u)))
      FROM credit_budgets b WHERE b.organization_id = a.organization_id AND b.active),
    'overrides', (SELECT json_agg(json_build_array(r.event_id, r.cost, r.per_units, ledger_ms(r.effective_from), ledger_ms(r.effective_until)))
      FROM credit_event_overrides r WHERE r.organization_id = a.organization_id))
  FROM unnest(p_organizations) AS wanted (id)
  JOIN credit_accounts a ON a.organization_id = wanted.id
  JOIN organizations o ON o.id = wanted.id
  $$;
