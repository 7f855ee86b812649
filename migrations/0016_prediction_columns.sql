-- Which columns a packed prediction set has, as the bits of core/table/plan_compare.h: a comparison's memory is planned
-- from them. NULL: packed before this was kept; any of them may be there.
ALTER TABLE prediction_set ADD COLUMN columns INTEGER;
