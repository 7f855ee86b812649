-- Version 4: refs that are protected, and the history of a ref as a stack to go back on.

ALTER TABLE ref ADD COLUMN protected INTEGER NOT NULL DEFAULT 0 CHECK (protected IN (0, 1));

-- The stack after each move, without replaying: the move that lies below it. A create starts a stack, a move lies on the
-- one before it, a rollback on what its target lay on.
ALTER TABLE ref_move ADD COLUMN below INTEGER REFERENCES ref_move (id) CHECK (below < id);
ALTER TABLE ref_move ADD COLUMN steps INTEGER CHECK (steps > 0); -- how many a rollback took off
ALTER TABLE ref_move ADD COLUMN rev INTEGER; -- the ref's rev after it, so that a ref made anew goes on from there
UPDATE ref_move SET below = (SELECT max(p.id) FROM ref_move p
    WHERE p.model = ref_move.model AND p.name = ref_move.name AND p.id < ref_move.id);
