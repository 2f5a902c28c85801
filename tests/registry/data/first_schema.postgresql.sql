CREATE TABLE alias_history (
    id integer NOT NULL,
    name character varying(63) NOT NULL,
    alias character varying(63) NOT NULL,
    action character varying(16) NOT NULL,
    version integer NOT NULL,
    previous integer,
    changed character varying(32) NOT NULL,
    changed_by character varying NOT NULL,
    why character varying NOT NULL
);
CREATE SEQUENCE alias_history_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE alias_history_id_seq OWNED BY alias_history.id;
CREATE TABLE aliases (
    name character varying(63) NOT NULL,
    alias character varying(63) NOT NULL,
    version integer NOT NULL
);
CREATE TABLE reports (
    id integer NOT NULL,
    name character varying(63) NOT NULL,
    version integer NOT NULL,
    content_hash character varying(64) NOT NULL,
    place character varying(127) NOT NULL,
    card character varying(128) NOT NULL,
    uses json NOT NULL,
    hashes json NOT NULL,
    attached character varying(32) NOT NULL,
    attached_by character varying NOT NULL,
    note character varying NOT NULL
);
CREATE SEQUENCE reports_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE reports_id_seq OWNED BY reports.id;
CREATE TABLE schema_version (
    version integer NOT NULL
);
CREATE TABLE versions (
    name character varying(63) NOT NULL,
    version integer NOT NULL,
    content_hash character varying(64) NOT NULL,
    fingerprint character varying(64) NOT NULL,
    store_tag character varying(127) NOT NULL,
    created character varying(32) NOT NULL,
    created_by character varying NOT NULL,
    note character varying NOT NULL,
    metrics json NOT NULL,
    lineage json NOT NULL
);
ALTER TABLE ONLY alias_history ALTER COLUMN id SET DEFAULT nextval('alias_history_id_seq'::regclass);
ALTER TABLE ONLY reports ALTER COLUMN id SET DEFAULT nextval('reports_id_seq'::regclass);
INSERT INTO alias_history VALUES (1, 'speech', 'production', 'promote', 1, NULL, '2026-11-28T03:57:30+00:00', 'alice', 'first');
INSERT INTO alias_history VALUES (2, 'speech', 'production', 'promote', 2, 1, '2026-11-28T03:57:30+00:00', 'alice', 'better');
INSERT INTO alias_history VALUES (3, 'speech', 'candidate', 'promote', 2, NULL, '2026-11-28T03:57:30+00:00', 'alice', '');
INSERT INTO alias_history VALUES (4, 'speech', 'production', 'rollback', 1, 2, '2026-11-28T03:57:30+00:00', 'alice', 'clicks');
INSERT INTO aliases VALUES ('speech', 'candidate', 2);
INSERT INTO aliases VALUES ('speech', 'production', 1);
INSERT INTO reports VALUES (1, 'speech', 2, '68757b1c99ac46a6ee57188edb27933a437f3dfa58d165b69598e4a52e8e91ea', 'speech/2/68757b1c99ac-5098cb50', 'card-speech-1.md', '["speech (en): PESQ 1.52 at 1.5 kbps to 2.96 at 6.02 kbps, 24 clips"]', '{"card-speech-1.json": "c2e30b4fd4889884cea00fe79829a32488e0f9d1bcc0a74e77f5d049da30fca4", "card-speech-1.md": "ee3d5a1581c382398934189041a0734f5042b3163569d25c0f0d29aa6cbd7320", "curves_pesq.png": "0f4636c78f65d3639ece5a064b5ae753e3408614a14fb18ab4d7540d2c248543", "summary.json": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}', '2026-11-28T03:57:30+00:00', 'alice', 'it''s spring');
INSERT INTO schema_version VALUES (1);
INSERT INTO versions VALUES ('speech', 1, '210c82e9e4244bb2ec0cf628a4cd514002c836bb2d4da818d1f4bfc752c3d787', '267db02deb1093fa2bcde41d06000ba027c6ed3b525ec94759e7d0380b6f9c08', 'speech:210c82e9e424-8e73b730', '2026-11-28T03:57:30+00:00', 'alice', 'run a', '{"mel_distance": 1.25, "si_sdr_db": 3.5}', '{"data": {"index_sha256": "0000000000000000000000000000000000000000000000000000000000000000"}, "run": "a", "steps": 10}');
INSERT INTO versions VALUES ('speech', 2, '68581a882adb6fca6597bd1f42b02e8122d82aee8e5b542011c1f9d91ef660d4', '267db02deb1093fa2bcde41d06000ba027c6ed3b525ec94759e7d0380b6f9c08', 'speech:68581a882adb-ce24242a', '2026-11-28T03:57:30+00:00', 'alice', 'run b', '{"mel_distance": 1.25, "si_sdr_db": 3.5}', '{"data": {"index_sha256": "0000000000000000000000000000000000000000000000000000000000000000"}, "run": "b", "steps": 10}');
SELECT pg_catalog.setval('alias_history_id_seq', 4, true);
SELECT pg_catalog.setval('reports_id_seq', 1, true);
ALTER TABLE ONLY alias_history
    ADD CONSTRAINT alias_history_pkey PRIMARY KEY (id);
ALTER TABLE ONLY aliases
    ADD CONSTRAINT aliases_pkey PRIMARY KEY (name, alias);
ALTER TABLE ONLY reports
    ADD CONSTRAINT reports_name_version_content_hash_key UNIQUE (name, version, content_hash);
ALTER TABLE ONLY reports
    ADD CONSTRAINT reports_pkey PRIMARY KEY (id);
ALTER TABLE ONLY reports
    ADD CONSTRAINT reports_place_key UNIQUE (place);
ALTER TABLE ONLY schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);
ALTER TABLE ONLY versions
    ADD CONSTRAINT versions_name_content_hash_key UNIQUE (name, content_hash);
ALTER TABLE ONLY versions
    ADD CONSTRAINT versions_pkey PRIMARY KEY (name, version);
ALTER TABLE ONLY versions
    ADD CONSTRAINT versions_store_tag_key UNIQUE (store_tag);
CREATE INDEX alias_history_of ON alias_history USING btree (name, alias);
ALTER TABLE ONLY aliases
    ADD CONSTRAINT aliases_name_version_fkey FOREIGN KEY (name, version) REFERENCES versions(name, version);
ALTER TABLE ONLY reports
    ADD CONSTRAINT reports_name_version_fkey FOREIGN KEY (name, version) REFERENCES versions(name, version);
