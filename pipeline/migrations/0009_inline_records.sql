-- A record's state stays in its row while it fits: written with the row rather than beside it, and
-- with room on the page for its next version. The server rewrites nothing: old rows follow as they
-- change.
ALTER TABLE record SET (toast_tuple_target = 8160, fillfactor = 60);
