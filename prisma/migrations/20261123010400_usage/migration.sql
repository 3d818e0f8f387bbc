-- Number of an organization's last ledger row before an instant, 0 where there is none. Instants never decrease along `seq`,
-- and `seq` has no gaps: bisecting the primary key reads about twenty rows of a million. Stable, so that a statement that asks
-- for several instants sees one and the same ledger.
CREATE FUNCTION ledger_seq_before(p_organization uuid, p_at timestamptz) RETURNS bigint
  LANGUAGE plpgsql STABLE
  AS $$
DECLARE
  v_at timestamptz;
  v_low bigint := 0;
  v_high bigint;
  v_middle bigint;
BEGIN
  SELECT t.seq, t.created_at INTO v_high, v_at FROM credit_transactions t
  WHERE t.organization_id = p_organization ORDER BY t.seq DESC LIMIT 1;
  IF v_high IS NULL OR v_at < p_at THEN
    RETURN coalesce(v_high, 0);
  END IF;
  WHILE v_low < v_high LOOP
    v_middle := (v_low + v_high + 1) / 2;
    SELECT t.created_at INTO v_at FROM credit_transactions t WHERE t.organization_id = p_organization AND t.seq = v_middle;
    IF v_at < p_at THEN
      v_low := v_middle;
    ELSE
      v_high := v_middle - 1;
    END IF;
  END LOOP;
  RETURN v_low;
END $$;
