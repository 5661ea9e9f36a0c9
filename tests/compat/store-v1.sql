BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE facts (
	position INTEGER NOT NULL, 
	run_id VARCHAR(80) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	schema_version INTEGER NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (position), 
	UNIQUE (run_id, digest), 
	FOREIGN KEY(run_id) REFERENCES runs (id)
);
INSERT INTO "facts" VALUES(1,'tiny-chat.1','81b1293f91fdd9b0890fadae6d62231fba197a1efda85ae30dad5dc89d2267bf','proposed',0,1,'{"fact":"proposed","number":0,"params":{"n_ctx":8192},"role":"default","seed":0,"replicate":0}');
INSERT INTO "facts" VALUES(2,'tiny-chat.1','8cc23f625524b23fe65a0665231d8e07e038658562056cba93cbce439c44c1d6','started',0,1,'{"fact":"started","number":0,"attempt":1,"lease":"tiny-chat.1","at":"2026-11-21T12:30:00+00:00","argv":["server","--port","{port}"],"argv_sha256":"abababababababababababababababababababababababababababababababab"}');
INSERT INTO "facts" VALUES(3,'tiny-chat.1','f0c30cc7dddf7d435d5c42ed5e675b19333613cbb5db550b12b7faf4b83e6115','served',0,1,'{"fact":"served","number":0,"attempt":1,"ready_s":0.7,"effective":{"n_parallel":4,"flash_attn":null},"differences":["n_ctx: asked for 8192, runs with 8448"]}');
INSERT INTO "facts" VALUES(4,'tiny-chat.1','d59abc7f9208de7e47cd0cfe198e5be84d68465dfc546f1ff0dcfd751d15d72f','measured',0,1,'{"fact":"measured","number":0,"attempt":1,"level":{"kind":"concurrency","value":4.0},"summary":{"level":{"kind":"concurrency","value":4.0},"requests":200,"completed":199,"errors":{"timeout":1},"duration_s":40.5,"ttft_s":{"count":200,"mean":0.25,"minimum":0.1,"maximum":0.9,"issued":{"p50":{"value":0.24},"p95":{"value":0.5},"p99":{"not_resolved":200}},"successes":{"p95":{"failed":true}}},"tpot_s":{"count":200,"mean":0.25,"minimum":0.1,"maximum":0.9,"issued":{"p50":{"value":0.24},"p95":{"value":0.5},"p99":{"not_resolved":200}},"successes":{"p95":{"failed":true}}},"itl_s":{"count":200,"mean":0.25,"minimum":0.1,"maximum":0.9,"issued":{"p50":{"value":0.24},"p95":{"value":0.5},"p99":{"not_resolved":200}},"successes":{"p95":{"failed":true}}},"e2e_s":{"count":200,"mean":0.25,"minimum":0.1,"maximum":0.9,"issued":{"p50":{"value":0.24},"p95":{"value":0.5},"p99":{"not_resolved":200}},"successes":{"p95":{"failed":true}}},"e2e_scheduled_s":null,"requests_per_s":4.9,"output_tokens_per_s":118.2,"input_tokens_per_s":627.0,"total_tokens_per_s":745.2,"prompt_tokens_mean":null,"output_tokens_mean":null,"good":null,"goodput_rps":null,"health":{"cpu_share":0.2,"schedule_lag_p99_s":0.001,"loop_lag_p99_s":0.0005,"foreign_cpus":null,"reconnects":0,"limited_by":[]},"ended":"complete"},"record_file":"trial-0/attempt-1/c4.jsonl"}');
INSERT INTO "facts" VALUES(5,'tiny-chat.1','767ce138680d0800fb9bf8666b868c7e11145d4392da954162bf86d22ae549c6','level_failed',0,1,'{"fact":"level_failed","number":0,"attempt":1,"level":{"kind":"concurrency","value":16.0},"reason":"the server closed every connection"}');
INSERT INTO "facts" VALUES(6,'tiny-chat.1','23a81b6e16ced7c921e7eec1de2d9de548bbf8b8f0585f56fb71e3154acf568e','ended',0,1,'{"fact":"ended","number":0,"attempt":1,"outcome":{"outcome":"completed"},"at":"2026-11-21T12:30:00+00:00","seconds":{"start":0.4,"measure":40.5}}');
INSERT INTO "facts" VALUES(7,'tiny-chat.1','217b38181efebdde7ff8acd560df5dca399388a8a6244a03b94ce9c28fff9e39','proposed',1,1,'{"fact":"proposed","number":1,"params":{"n_ctx":8192,"n_batch":64,"flash_attn":true,"share":0.5,"kv":"q8_0"},"role":"search","seed":1,"replicate":0}');
INSERT INTO "facts" VALUES(8,'tiny-chat.1','b3f40a363ce248e18d8d3222864e5007d6b6963883809266eff6c9fc850bc591','ended',1,1,'{"fact":"ended","number":1,"attempt":1,"outcome":{"outcome":"infeasible","rule":"batch","reason":"n_batch is too small","hint":"raise it"},"at":"2026-11-21T12:30:00+00:00","seconds":{}}');
INSERT INTO "facts" VALUES(9,'tiny-chat.1','4b6dcebc68b93ed9f0b63ffbfe5f4c7bafbb475b18dd7277650189bd16401aed','proposed',2,1,'{"fact":"proposed","number":2,"params":{"n_batch":128},"role":"search","seed":0,"replicate":0}');
INSERT INTO "facts" VALUES(10,'tiny-chat.1','fbe75015883adae5c8596253b50eebf838a69e8c806aa1ce0e35f3a060b535db','started',2,1,'{"fact":"started","number":2,"attempt":1,"lease":"tiny-chat.1","at":"2026-11-21T12:30:00+00:00","argv":[],"argv_sha256":""}');
INSERT INTO "facts" VALUES(11,'tiny-chat.1','9d1c0f9b11edcf3e3c62c9ae052f82565ee3e8a157f7e2b92e95507fc3f9b168','ended',2,1,'{"fact":"ended","number":2,"attempt":1,"outcome":{"outcome":"failed","phase":"start","kind":"configuration","name":"out-of-memory","reason":"cannot allocate","hint":"less context","log":["last","words"]},"at":"2026-11-21T12:30:00+00:00","seconds":{}}');
CREATE TABLE notes (
	position INTEGER NOT NULL, 
	run_id VARCHAR(80) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	document TEXT, 
	spec TEXT, 
	PRIMARY KEY (position), 
	FOREIGN KEY(run_id) REFERENCES runs (id)
);
INSERT INTO "notes" VALUES(1,'tiny-chat.1','document','2026-11-21T12:01:00.000+00:00','name: tiny-chat
search: {trials: 2}
','{"name": "tiny-chat", "search": {"trials": 2}}');
INSERT INTO "notes" VALUES(2,'tiny-chat.1','end','2026-11-21T12:30:00+00:00',NULL,NULL);
INSERT INTO "notes" VALUES(3,'tiny-chat.1','document','2026-11-21T12:02:00.000+00:00','name: tiny-chat
search: {trials: 5}
','{"name": "tiny-chat", "search": {"trials": 5}}');
INSERT INTO "notes" VALUES(4,'tiny-chat.1','cancel','2026-11-21T12:03:00.000+00:00',NULL,NULL);
INSERT INTO "notes" VALUES(5,'other.1','document','2026-11-21T12:05:00.000+00:00','name: other
','{"name": "other"}');
CREATE TABLE runs (
	position INTEGER NOT NULL, 
	id VARCHAR(80) NOT NULL, 
	name VARCHAR(63) NOT NULL, 
	run INTEGER NOT NULL, 
	created_at VARCHAR(40) NOT NULL, 
	environment TEXT NOT NULL, 
	PRIMARY KEY (position), 
	UNIQUE (name, run), 
	UNIQUE (id)
);
INSERT INTO "runs" VALUES(1,'tiny-chat.1','tiny-chat',1,'2026-11-21T12:00:00.000+00:00','{"lading": "0.1.0", "cpus": 2}');
INSERT INTO "runs" VALUES(2,'other.1','other',1,'2026-11-21T12:04:00.000+00:00','{}');
CREATE INDEX notes_of_run ON notes (run_id, position);
CREATE INDEX facts_of_run ON facts (run_id, position);
CREATE TRIGGER runs_no_update BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'runs is append-only'); END;
CREATE TRIGGER runs_no_delete BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'runs is append-only'); END;
CREATE TRIGGER notes_no_update BEFORE UPDATE ON notes BEGIN SELECT RAISE(ABORT, 'notes is append-only'); END;
CREATE TRIGGER notes_no_delete BEFORE DELETE ON notes BEGIN SELECT RAISE(ABORT, 'notes is append-only'); END;
CREATE TRIGGER facts_no_update BEFORE UPDATE ON facts BEGIN SELECT RAISE(ABORT, 'facts is append-only'); END;
CREATE TRIGGER facts_no_delete BEFORE DELETE ON facts BEGIN SELECT RAISE(ABORT, 'facts is append-only'); END;
COMMIT;
