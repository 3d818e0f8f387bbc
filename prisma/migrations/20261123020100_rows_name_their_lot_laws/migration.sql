-- A ledger row that touches one lot, as nearly all do, names it itself; one that touches several has an entry for each. So a
-- take is one row in one table.

-- ── One way to read both ───────────────────────────────────────────────────────────────────────────────────
-- Rows of before have an entry each, and no lot of their own. The condition stands outside: an arm that has one of its own is
-- planned by itself, so that it neither follows an index's order nor is looked up row by row in a join.
CREATE VIEW credit_movements WITH (security_invoker = true) AS
  SELECT * FROM (
    SELECT organization_id, seq AS transaction_seq, 1 AS position, grant_id, amount, held, lot_after FROM credit_transactions
    UNION ALL
    SELECT organization_id, transaction_seq, position, grant_id, amount, held, lot_after FROM credit_entries
  ) moved WHERE grant_id IS NOT NULL;
GRANT SELECT ON credit_movements TO billfold_app, billfold_platform;

-- An index of every row by its lot costs a take as much as its key does. Rows of one lot mostly follow each other: only where such a
-- run begins (or one of rows that name none) is it noted, and a run ends where the next one begins.
CREATE INDEX runs ON credit_transactions (organization_id, seq) WHERE starts_run;
CREATE INDEX runs_of_lots ON credit_transactions (organization_id, grant_id, seq) WHERE starts_run;

-- The last that was done to a lot before a row; with `p_moving`, the last that was added to it or taken from it.
CREATE FUNCTION last_movement(p_organization uuid, p_lot uuid, p_before bigint, p_moving boolean DEFAULT false)
  RETURNS TABLE (transaction_seq bigint, lot_after bigint)
  LANGUAGE sql STABLE
  AS $$
  SELECT last.seq, last.lot_after FROM (
    (SELECT moved.seq, moved.lot_after FROM credit_transactions run
     CROSS JOIN LATERAL (
       SELECT t.seq, t.lot_after FROM credit_transactions t
       WHERE t.organization_id = p_organization AND t.grant_id = p_lot AND (t.amount <> 0 OR NOT p_moving) AND t.seq >= run.seq
         AND t.seq < least(p_before, (SELECT next.seq FROM credit_transactions next
           WHERE next.organization_id = p_organization AND next.starts_run AND next.seq > run.seq ORDER BY next.seq LIMIT 1))
       ORDER BY t.seq DESC LIMIT 1
     ) moved
     WHERE run.organization_id = p_organization AND run.grant_id = p_lot AND run.starts_run AND run.seq < p_before
     ORDER BY run.seq DESC LIMIT 1)
    UNION ALL
    (SELECT e.transaction_seq, e.lot_after FROM credit_entries e
     WHERE e.organization_id = p_organization AND e.grant_id = p_lot AND e.transaction_seq < p_before AND (e.amount <> 0 OR NOT p_moving)
     ORDER BY e.transaction_seq DESC LIMIT 1)
  ) last ORDER BY last.seq DESC LIMIT 1
  $$;

-- The row that made a lot.
CREATE FUNCTION first_movement(p_organization uuid, p_lot uuid) RETURNS TABLE (transaction_seq bigint)
  LANGUAGE sql STABLE
  AS $$
  SELECT made.seq FROM (
    (SELECT run.seq FROM credit_transactions run
     WHERE run.organization_id = p_organization AND run.grant_id = p_lot AND run.starts_run ORDER BY run.seq LIMIT 1)
    UNION ALL
    (SELECT e.transaction_seq FROM credit_entries e
     WHERE e.organization_id = p_organization AND e.grant_id = p_lot ORDER BY e.transaction_seq LIMIT 1)
  ) made ORDER BY made.seq LIMIT 1
  $$;
REVOKE EXECUTE ON FUNCTION last_movement, first_movement FROM PUBLIC;
GRANT EXECUTE ON FUNCTION last_movement, first_movement TO billfold_app, billfold_platform;

-- What the next row's run depends on is read with the account.
CREATE OR REPLACE FUNCTION ledger_read(p_organizations uuid[]) RETURNS TABLE (state json)
  LANGUAGE sql STABLE
  SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
  AS $$
  SELECT json_build_object(
    'organizationId', a.organization_id, 'version', a.version, 'epoch', (SELECT epoch FROM ledger_epoch),
    'deleted', o.deleted_at IS NOT NULL, 'burnOrder', o.burn_order, 'spentPolicy', o.spent_policy, 'suspended', a.suspended_at IS NOT NULL,
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

-- What was set aside of a lot at an instant of the past.
CREATE INDEX held_rows ON credit_transactions (organization_id, grant_id, seq) INCLUDE (held) WHERE grant_id IS NOT NULL AND held <> 0;

-- ── What no row may be ─────────────────────────────────────────────────────────────────────────────────────
-- One check for each table that a take writes: PostgreSQL reads the text of each anew for each statement.
ALTER TABLE credit_accounts
  DROP CONSTRAINT balance_not_negative,
  DROP CONSTRAINT held_within_balance,
  DROP CONSTRAINT debt_not_negative,
  ADD CONSTRAINT account_within_bounds CHECK (held <= balance AND least(held, debt) >= 0);
ALTER TABLE credit_grants
  DROP CONSTRAINT lot_within_bounds,
  DROP CONSTRAINT lot_open_while_left,
  DROP CONSTRAINT held_within_lot,
  DROP CONSTRAINT claims_within_lot,
  ADD CONSTRAINT lot_within_bounds CHECK (amount > 0 AND open = (remaining > 0) AND held <= remaining AND frozen <= held
    AND greatest(remaining, to_take, taken, to_freeze, transferred, expired) <= amount
    AND least(frozen, to_take, taken, to_freeze, transferred, expired) >= 0);
ALTER TABLE credit_transactions
  DROP CONSTRAINT row_moves,
  DROP CONSTRAINT seq_positive,
  DROP CONSTRAINT running_total_not_negative,
  DROP CONSTRAINT consume_names_its_event,
  ADD CONSTRAINT row_lawful CHECK (seq > 0 AND available_after <= balance_after AND available_after >= 0
    AND (amount <> 0 OR held <> 0 OR debt <> 0) AND (grant_id IS NULL) = (lot_after IS NULL) AND coalesce(lot_after, 0) >= 0
    AND (type <> 'consume' OR (amount < 0 AND (hold_id IS NOT NULL OR (event_id IS NOT NULL AND event_name IS NOT NULL AND quantity > 0 AND unit_cost > 0)))));

-- ── Room on pages ──────────────────────────────────────────────────────────────────────────────────────────
-- The versions that a row leaves behind are cleared away when its page is full: the more room, the fewer rows are looked at for each.
-- Not for lots: most are closed, and more pages cost more than it brings.
ALTER TABLE credit_accounts SET (fillfactor = 25);

-- ── Writing ────────────────────────────────────────────────────────────────────────────────────────────────
COMMENT ON COLUMN credit_accounts.version IS 'A number that no other state of the account has had: chance where the ledger writes, one more where somebody else changes something.';

-- Of the rest of an account, nobody but `ledger_write` changes anything; asking that of each of its writes costs more than it brings.
DROP TRIGGER remembered ON credit_accounts;
CREATE TRIGGER remembered BEFORE UPDATE OF suspended_at ON credit_accounts FOR EACH ROW
  WHEN (NEW.version = OLD.version) EXECUTE FUNCTION raise_own_version();

DROP FUNCTION ledger_flush;
-- Asked for by a plain statement now.
DROP FUNCTION ledger_version;
DROP FUNCTION ledger_write;

-- What was already written under keys, with the lots it moved.
CREATE OR REPLACE FUNCTION ledger_known(p_organizations uuid[], p_spaces key_space[], p_keys text[])
  RETURNS TABLE (organization_id uuid, key_space key_space, idempotency_key text, id uuid, seq bigint, type transaction_type, amount bigint,
    held bigint, available_after bigint, hold_id uuid, request_hash text, entries json)
  LANGUAGE sql STABLE
  SET plan_cache_mode = force_custom_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
  AS $$
  SELECT t.organization_id, t.key_space, t.idempotency_key, t.id, t.seq, t.type, t.amount, t.held, t.available_after, t.hold_id, t.request_hash,
    (SELECT json_agg(json_build_array(e.grant_id, g.source, e.amount, e.held) ORDER BY e.position)
     FROM credit_movements e JOIN credit_grants g ON g.organization_id = e.organization_id AND g.id = e.grant_id
     WHERE e.organization_id = t.organization_id AND e.transaction_seq = t.seq)
  FROM unnest(p_organizations, p_spaces, p_keys) AS asked (organization_id, key_space, idempotency_key)
  JOIN credit_transactions t USING (organization_id, key_space, idempotency_key)
  $$;

-- Writes what was decided on accounts, in one exchange, for the group commit and inside of transactions alike. Each account is
-- written only where it still has the version it was decided on, and none of the keys `k_…` stands for a row already (one whose
-- version stays as it was is only asked for); the numbers of those that were written, and of those with a known key, are
-- returned, and null where all are written. A key that is not among `k_…` and known makes the whole statement fail, and so does
-- another epoch than the decisions were made in (BF001).
--
-- Columns of `a_…` accounts, `g_…` ids of lots, `l_…` changes of lots, `v_…` events, `w_…` who, `t_…` ledger rows, `e_…` the entries of
-- those that touch several lots, `k_…` keys to ask for. Numbers from 1 point from one into the other, so that nothing long is said
-- twice; what is left out of a column has the value that nearly all have. `p_rest` holds what is rare. Instants are milliseconds
-- since 1970. Arrays are indexed, not unnested: measured, that takes half the time.
--
-- It waits for a lock only briefly: one account that somebody keeps locked must not hold up all others.
CREATE FUNCTION ledger_write(
  p_epoch bigint, p_rest jsonb,
  a_org uuid[], a_expected bigint[], a_version bigint[], a_balance bigint[], a_held bigint[], a_debt bigint[], a_row int[],
  g_id uuid[],
  l_account int[], l_lot int[], l_amount bigint[], l_held bigint[],
  v_id uuid[], v_name text[], v_version int[], v_cost bigint[], v_per_units bigint[],
  w_actor text[], w_api_key uuid[],
  t_account int[], t_seq bigint[], t_id uuid[], t_type text[], t_amount bigint[], t_held bigint[], t_debt bigint[], t_balance bigint[], t_available bigint[],
  t_space key_space[], t_key text[], t_request text[], t_event int[], t_quantity bigint[], t_corrects bigint[], t_hold uuid[], t_reference text[],
  t_project text[], t_member uuid[], t_reason text[], t_who int[], t_metadata text[], t_at float8[], t_hash text[], t_lot int[], t_lot_after bigint[], t_starts_run boolean[],
  e_row int[], e_position int[], e_lot int[], e_amount bigint[], e_held bigint[], e_after bigint[],
  k_account int[], k_space key_space[], k_key text[]
) RETURNS jsonb
  LANGUAGE plpgsql
  SET role = 'billfold_platform' SET lock_timeout = '250ms'
  SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
  AS $$
DECLARE
  v_ok int[];
  v_known int[];
  v_written int;
  v_all boolean;
BEGIN
  IF cardinality(k_account) > 0 THEN
    -- A plan made while the ledger is empty may walk an organization's whole history for each key, and is kept; so until there
    -- are statistics it is made each time.
    IF (SELECT c.reltuples < 1000 FROM pg_class c WHERE c.oid = 'public.credit_transactions'::regclass) THEN
      EXECUTE 'SELECT array_agg(DISTINCT asked.account) FROM unnest($1, $2, $3) AS asked (account, space, key)
        JOIN credit_transactions t ON t.organization_id = ($4)[asked.account] AND t.key_space = asked.space AND t.idempotency_key = asked.key'
        INTO v_known USING k_account, k_space, k_key, a_org;
    ELSE
      SELECT array_agg(DISTINCT asked.account) INTO v_known FROM unnest(k_account, k_space, k_key) AS asked (account, space, key)
      JOIN credit_transactions t ON t.organization_id = a_org[asked.account] AND t.key_space = asked.space AND t.idempotency_key = asked.key;
    END IF;
  END IF;
  -- Locks and changes in one. Both sides come in the order of ids (the callers sort; an index is the only other way), so two
  -- flushes never wait for each other. What waited for a lock is asked again for its version. Whoever has written a key that
  -- was not there a moment ago has changed the version too.
  UPDATE credit_accounts a SET balance = a_balance[b.i], held = coalesce(a_held[b.i], 0), debt = coalesce(a_debt[b.i], 0),
    last_seq = coalesce(t_seq[a_row[b.i]], a.last_seq), last_at = coalesce(to_timestamp(t_at[a_row[b.i]] / 1000), a.last_at),
    last_hash = coalesce(decode(t_hash[a_row[b.i]], 'hex'), a.last_hash), updated_at = coalesce(to_timestamp(t_at[a_row[b.i]] / 1000), a.updated_at),
    version = a_version[b.i]
  FROM generate_series(1, cardinality(a_org)) AS b (i)
  WHERE a.organization_id = a_org[b.i] AND a.version = a_expected[b.i] AND a_version[b.i] <> a_expected[b.i]
    AND (v_known IS NULL OR NOT b.i = ANY (v_known));
  GET DIAGNOSTICS v_written = ROW_COUNT;
  v_all := v_written = cardinality(a_org);
  -- Now, not before: what has waited for a lock was decided on the epoch of before the wait.
  IF p_epoch <> (SELECT epoch FROM ledger_epoch) THEN
    RAISE EXCEPTION 'the rate card or a key has changed' USING ERRCODE = 'BF001';
  END IF;
  IF NOT v_all THEN
    -- Those that were written have their new version now, which nobody else can have given them; and those that were only to be
    -- asked for have theirs.
    SELECT coalesce(array_agg(b.i), '{}') INTO v_ok FROM generate_series(1, cardinality(a_org)) AS b (i)
    JOIN credit_accounts a ON a.organization_id = a_org[b.i] AND a.version = a_version[b.i]
    WHERE v_known IS NULL OR NOT b.i = ANY (v_known);
    v_all := cardinality(v_ok) = cardinality(a_org);
  END IF;

  IF p_rest ? 'lots' THEN
    INSERT INTO credit_grants (organization_id, id, source, amount, remaining, held, frozen, to_take, taken, to_freeze, transferred, expired, transferable, open,
      expires_at, label, plan_id, plan_version, price_id, product_id, stripe_invoice_id, stripe_payment_id, stripe_session_id,
      origin_organization_id, origin_grant_id, origin_source, created_at)
    SELECT a_org[n.account], n.id, n.source, n.amount, n.remaining, n.held, n.frozen, n.to_take, n.taken, n.to_freeze, n.transferred, n.expired, n.transferable, n.remaining > 0,
      n.expires_at, n.label, n.plan_id, n.plan_version, n.price_id, n.product_id, n.stripe_invoice_id, n.stripe_payment_id, n.stripe_session_id,
      n.origin_organization_id, n.origin_grant_id, n.origin_source, n.created_at
    FROM jsonb_to_recordset(p_rest -> 'lots') AS n (account int, id uuid, source grant_source, amount bigint, remaining bigint, held bigint, frozen bigint,
      to_take bigint, taken bigint, to_freeze bigint, transferred bigint, expired bigint, transferable boolean, expires_at timestamptz, label text, plan_id uuid,
      plan_version int, price_id uuid, product_id uuid, stripe_invoice_id text, stripe_payment_id text, stripe_session_id text,
      origin_organization_id uuid, origin_grant_id uuid, origin_source grant_source, created_at timestamptz)
    WHERE v_all OR n.account = ANY (v_ok);
  END IF;

  UPDATE credit_grants g SET remaining = g.remaining + l_amount[c.i], held = g.held + coalesce(l_held[c.i], 0), open = g.remaining + l_amount[c.i] > 0
  FROM generate_series(1, cardinality(l_account)) AS c (i)
  WHERE g.organization_id = a_org[l_account[c.i]] AND g.id = g_id[l_lot[c.i]] AND (v_all OR l_account[c.i] = ANY (v_ok));

  INSERT INTO credit_transactions (organization_id, seq, id, type, amount, held, debt, balance_after, available_after, key_space, idempotency_key, request_hash,
    event_id, event_name, event_version, quantity, unit_cost, per_units, corrects_seq, hold_id, reference, project, member_id, reason, actor, api_key_id,
    metadata, created_at, hash, grant_id, lot_after, starts_run)
  SELECT a_org[t_account[t.i]], t_seq[t.i], t_id[t.i], coalesce(t_type[t.i]::transaction_type, 'consume'), t_amount[t.i], coalesce(t_held[t.i], 0), coalesce(t_debt[t.i], 0), t_balance[t.i], t_available[t.i],
    coalesce(t_space[t.i], 'caller'), t_key[t.i], t_request[t.i], v_id[t_event[t.i]], v_name[t_event[t.i]], v_version[t_event[t.i]], t_quantity[t.i], v_cost[t_event[t.i]], v_per_units[t_event[t.i]],
    t_corrects[t.i], t_hold[t.i], t_reference[t.i], t_project[t.i], t_member[t.i], t_reason[t.i], w_actor[t_who[t.i]], w_api_key[t_who[t.i]], t_metadata[t.i]::jsonb, to_timestamp(t_at[t.i] / 1000), decode(t_hash[t.i], 'hex'),
    g_id[t_lot[t.i]], coalesce(t_lot_after[t.i], CASE WHEN t_lot[t.i] IS NOT NULL THEN 0 END), t_starts_run[t.i]
  FROM generate_series(1, cardinality(t_account)) AS t (i)
  WHERE v_all OR t_account[t.i] = ANY (v_ok);

  IF cardinality(e_row) > 0 THEN
    INSERT INTO credit_entries (organization_id, transaction_seq, position, grant_id, amount, held, lot_after)
    SELECT a_org[t_account[e_row[e.i]]], t_seq[e_row[e.i]], e_position[e.i], g_id[e_lot[e.i]], coalesce(e_amount[e.i], 0), coalesce(e_held[e.i], 0), coalesce(e_after[e.i], 0)
    FROM generate_series(1, cardinality(e_row)) AS e (i)
    WHERE v_all OR t_account[e_row[e.i]] = ANY (v_ok);
  END IF;

  IF p_rest ? 'claims' THEN
    -- In one with their amounts: a check that looks at both would refuse the state in between.
    UPDATE credit_grants g SET remaining = g.remaining + c.amount, held = g.held + c.held_change, open = g.remaining + c.amount > 0,
      frozen = c.frozen, to_take = c.to_take, taken = c.taken, to_freeze = c.to_freeze, transferred = c.transferred, expired = c.expired
    FROM jsonb_to_recordset(p_rest -> 'claims') AS c (account int, id uuid, amount bigint, held_change bigint, frozen bigint, to_take bigint,
      taken bigint, to_freeze bigint, transferred bigint, expired bigint)
    WHERE g.organization_id = a_org[c.account] AND g.id = c.id AND (v_all OR c.account = ANY (v_ok));
  END IF;
  IF p_rest ? 'holds' THEN
    INSERT INTO credit_holds (organization_id, id, kind, amount, captured, remaining, lots, budgets, open, event_name, project, member_id, api_key_id, actor,
      lease_ends_at, created_at, ended_at)
    SELECT a_org[h.account], h.id, h.kind, h.amount, h.captured, h.remaining, h.lots, h.budgets, h.open, h.event_name, h.project, h.member_id, h.api_key_id, h.actor,
      h.lease_ends_at, h.created_at, h.ended_at
    FROM jsonb_to_recordset(p_rest -> 'holds') AS h (account int, id uuid, kind hold_kind, amount bigint, captured bigint, remaining bigint, lots jsonb, budgets jsonb,
      open boolean, event_name text, project text, member_id uuid, api_key_id uuid, actor text, lease_ends_at timestamptz, created_at timestamptz, ended_at timestamptz)
    WHERE v_all OR h.account = ANY (v_ok)
    ON CONFLICT (organization_id, id) DO UPDATE SET captured = excluded.captured, remaining = excluded.remaining, lots = excluded.lots, budgets = excluded.budgets,
      open = excluded.open, lease_ends_at = excluded.lease_ends_at, ended_at = excluded.ended_at;
  END IF;
  IF p_rest ? 'usage' THEN
    INSERT INTO credit_budget_usage AS b (organization_id, budget_id, window_start, used)
    SELECT a_org[u.account], u.budget_id, u.window_start, u.change
    FROM jsonb_to_recordset(p_rest -> 'usage') AS u (account int, budget_id uuid, window_start timestamptz, change bigint)
    WHERE (v_all OR u.account = ANY (v_ok)) AND u.change > 0
    ON CONFLICT (organization_id, budget_id, window_start) DO UPDATE SET used = b.used + excluded.used;
    -- What is given back was counted before, so its row is there; as a row to insert it would be refused, being negative.
    UPDATE credit_budget_usage b SET used = greatest(0, b.used + u.change)
    FROM jsonb_to_recordset(p_rest -> 'usage') AS u (account int, budget_id uuid, window_start timestamptz, change bigint)
    WHERE b.organization_id = a_org[u.account] AND b.budget_id = u.budget_id AND b.window_start = u.window_start
      AND (v_all OR u.account = ANY (v_ok)) AND u.change < 0;
  END IF;

  IF p_rest ? 'suspended' THEN
    UPDATE credit_accounts a SET suspended_at = s.at, suspended_reason = s.reason
    FROM jsonb_to_recordset(p_rest -> 'suspended') AS s (account int, at timestamptz, reason text)
    WHERE a.organization_id = a_org[s.account] AND (v_all OR s.account = ANY (v_ok));
  END IF;

  IF v_all THEN
    RETURN NULL;
  END IF;
  RETURN jsonb_build_object('written', v_ok, 'known', coalesce(v_known, '{}'));
END $$;

REVOKE EXECUTE ON FUNCTION ledger_write FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_write TO billfold_platform;
