BEGIN TRANSACTION;
CREATE TABLE alias_history (
	id INTEGER NOT NULL, 
	name VARCHAR(63) NOT NULL, 
	alias VARCHAR(63) NOT NULL, 
	action VARCHAR(16) NOT NULL, 
	version INTEGER NOT NULL, 
	previous INTEGER, 
	changed VARCHAR(32) NOT NULL, 
	changed_by VARCHAR NOT NULL, 
	why VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "alias_history" VALUES(1,'speech','production','promote',1,NULL,'2026-11-28T03:57:30+00:00','alice','first');
INSERT INTO "alias_history" VALUES(2,'speech','production','promote',2,1,'2026-11-28T03:57:30+00:00','alice','better');
INSERT INTO "alias_history" VALUES(3,'speech','candidate','promote',2,NULL,'2026-11-28T03:57:30+00:00','alice','');
INSERT INTO "alias_history" VALUES(4,'speech','production','rollback',1,2,'2026-11-28T03:57:30+00:00','alice','clicks');
CREATE TABLE aliases (
	name VARCHAR(63) NOT NULL, 
	alias VARCHAR(63) NOT NULL, 
	version INTEGER NOT NULL, 
	PRIMARY KEY (name, alias), 
	FOREIGN KEY(name, version) REFERENCES versions (name, version)
);
INSERT INTO "aliases" VALUES('speech','production',1);
INSERT INTO "aliases" VALUES('speech','candidate',2);
CREATE TABLE reports (
	id INTEGER NOT NULL, 
	name VARCHAR(63) NOT NULL, 
	version INTEGER NOT NULL, 
	content_hash VARCHAR(64) NOT NULL, 
	place VARCHAR(127) NOT NULL, 
	card VARCHAR(128) NOT NULL, 
	uses JSON NOT NULL, 
	hashes JSON NOT NULL, 
	attached VARCHAR(32) NOT NULL, 
	attached_by VARCHAR NOT NULL, 
	note VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(name, version) REFERENCES versions (name, version), 
	UNIQUE (name, version, content_hash), 
	UNIQUE (place)
);
INSERT INTO "reports" VALUES(1,'speech',2,'68757b1c99ac46a6ee57188edb27933a437f3dfa58d165b69598e4a52e8e91ea','speech/2/68757b1c99ac-5cc4d68d','card-speech-1.md','["speech (en): PESQ 1.52 at 1.5 kbps to 2.96 at 6.02 kbps, 24 clips"]','{"card-speech-1.json": "c2e30b4fd4889884cea00fe79829a32488e0f9d1bcc0a74e77f5d049da30fca4", "card-speech-1.md": "ee3d5a1581c382398934189041a0734f5042b3163569d25c0f0d29aa6cbd7320", "curves_pesq.png": "0f4636c78f65d3639ece5a064b5ae753e3408614a14fb18ab4d7540d2c248543", "summary.json": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}','2026-11-28T03:57:30+00:00','alice','it''s spring');
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(1);
CREATE TABLE versions (
	name VARCHAR(63) NOT NULL, 
	version INTEGER NOT NULL, 
	content_hash VARCHAR(64) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	store_tag VARCHAR(127) NOT NULL, 
	created VARCHAR(32) NOT NULL, 
	created_by VARCHAR NOT NULL, 
	note VARCHAR NOT NULL, 
	metrics JSON NOT NULL, 
	lineage JSON NOT NULL, 
	PRIMARY KEY (name, version), 
	UNIQUE (name, content_hash), 
	UNIQUE (store_tag)
);
INSERT INTO "versions" VALUES('speech',1,'210c82e9e4244bb2ec0cf628a4cd514002c836bb2d4da818d1f4bfc752c3d787','267db02deb1093fa2bcde41d06000ba027c6ed3b525ec94759e7d0380b6f9c08','speech:210c82e9e424-10ba4146','2026-11-28T03:57:30+00:00','alice','run a','{"mel_distance": 1.25, "si_sdr_db": 3.5}','{"data": {"index_sha256": "0000000000000000000000000000000000000000000000000000000000000000"}, "run": "a", "steps": 10}');
INSERT INTO "versions" VALUES('speech',2,'68581a882adb6fca6597bd1f42b02e8122d82aee8e5b542011c1f9d91ef660d4','267db02deb1093fa2bcde41d06000ba027c6ed3b525ec94759e7d0380b6f9c08','speech:68581a882adb-62b43dd0','2026-11-28T03:57:30+00:00','alice','run b','{"mel_distance": 1.25, "si_sdr_db": 3.5}','{"data": {"index_sha256": "0000000000000000000000000000000000000000000000000000000000000000"}, "run": "b", "steps": 10}');
CREATE INDEX alias_history_of ON alias_history (name, alias);
COMMIT;
