import GRDB

/// The tables of a job store. Each migration runs once, in order, in a transaction of its own; what is published is
/// never changed, only followed by another one.
enum JobSchema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 files, batches and lines") { db in try db.execute(sql: first) }
        migrator.registerMigration("2 groups and lengths of lines") { db in try db.execute(sql: second) }
        return migrator
    }

    /// Tables are STRICT: a column holds what it says, whoever wrote it. Times are seconds since 1970.
    private static let first = """
        -- What the Files API shows. An upload that is not whole is removed when the store is opened.
        CREATE TABLE file (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            purpose TEXT NOT NULL,
            name TEXT NOT NULL,
            byte_count INTEGER NOT NULL,
            created INTEGER NOT NULL,
            -- Where the content is: 'uploaded' in chunks, 'answers' and 'errors' in the lines of a batch.
            source TEXT NOT NULL CHECK (source IN ('uploaded', 'answers', 'errors')),
            batch INTEGER,
            is_whole INTEGER NOT NULL CHECK (is_whole IN (0, 1))
        ) STRICT;

        -- The content of an uploaded file, in pieces that fit into memory.
        CREATE TABLE chunk (
            file INTEGER NOT NULL REFERENCES file (number) ON DELETE CASCADE,
            -- 0, 1, …
            position INTEGER NOT NULL,
            content BLOB NOT NULL,
            PRIMARY KEY (file, position)
        ) STRICT;

        CREATE TABLE batch (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            model TEXT NOT NULL,
            endpoint TEXT NOT NULL,
            completion_window TEXT NOT NULL,
            input_file TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN
                ('validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled')),
            -- JSON object of strings.
            metadata TEXT NOT NULL,
            -- JSON array of what is wrong with the file.
            problems TEXT NOT NULL,
            -- Whether each line has got its rank.
            is_planned INTEGER NOT NULL DEFAULT 0 CHECK (is_planned IN (0, 1)),
            -- Lines: all, answered, without an answer. Change together with the lines.
            total INTEGER NOT NULL DEFAULT 0,
            completed INTEGER NOT NULL DEFAULT 0,
            failed INTEGER NOT NULL DEFAULT 0,
            prompt_tokens INTEGER NOT NULL DEFAULT 0,
            cached_tokens INTEGER NOT NULL DEFAULT 0,
            completion_tokens INTEGER NOT NULL DEFAULT 0,
            created_at INTEGER NOT NULL,
            expires_at INTEGER NOT NULL,
            in_progress_at INTEGER,
            finalizing_at INTEGER,
            completed_at INTEGER,
            failed_at INTEGER,
            expired_at INTEGER,
            cancelling_at INTEGER,
            cancelled_at INTEGER,
            output_file TEXT,
            error_file TEXT
        ) STRICT;
        CREATE INDEX batch_open ON batch (number) WHERE status IN ('validating', 'in_progress', 'finalizing', 'cancelling');

        -- A request of a batch. It is waiting until its answer, or the reason why there is none, is written, in one
        -- transaction with its state; that it is being worked on is nowhere but in the coordinator's memory.
        CREATE TABLE line (
            batch INTEGER NOT NULL REFERENCES batch (number) ON DELETE CASCADE,
            -- Of the file, counted from 0; empty lines count.
            number INTEGER NOT NULL,
            custom_id TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'answered', 'failed')),
            -- The line as it was uploaded; NULL once it has ended.
            request BLOB,
            -- Of its random numbers, unless the request brings one: drawn once, before the first try. 64 bits.
            seed INTEGER NOT NULL,
            -- When it is to run among the others: planned, or its number.
            rank INTEGER NOT NULL,
            -- 1, 2, … in the order in which lines ended.
            finish_order INTEGER,
            -- The line of the output or error file.
            answer BLOB,
            PRIMARY KEY (batch, number),
            UNIQUE (batch, custom_id),
            UNIQUE (batch, finish_order),
            CHECK ((state = 'waiting') = (finish_order IS NULL)),
            CHECK ((state = 'waiting') = (answer IS NULL)),
            CHECK ((state = 'waiting') = (request IS NOT NULL))
        ) STRICT;
        CREATE INDEX line_waiting ON line (batch, rank) WHERE state = 'waiting';
        """
    private static let second = """
        -- What planning has found of a line; NULL where nothing has. Tokens of its prompts, and of its answers at most.
        ALTER TABLE line ADD COLUMN prompt_tokens INTEGER;
        ALTER TABLE line ADD COLUMN answer_tokens INTEGER;
        -- Lines that begin alike: rank of the first of them, what they share, and how many they are; NULL for a line by itself.
        ALTER TABLE line ADD COLUMN group_rank INTEGER;
        ALTER TABLE line ADD COLUMN group_prefix INTEGER;
        ALTER TABLE line ADD COLUMN group_lines INTEGER;
        """
}
