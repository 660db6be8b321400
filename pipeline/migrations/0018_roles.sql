-- Workers make partitions of the history without owning it.

-- It acts with its owner's rights, so it finds tables in the schema where the history is and nowhere
-- before: not in one of the caller's own.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION penstock_make_partition(bigint, bigint) SECURITY DEFINER '
                   'SET search_path = %I, pg_temp', current_schema());
END $$;
