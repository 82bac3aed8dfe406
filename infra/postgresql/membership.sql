-- Tables and queries for Orleans' ADO.NET membership. A node that may makes them at its start; run again, it changes nothing.
-- The names in OrleansQuery, the parameters and the columns of results are what the provider asks for; everything else is ours.

CREATE TABLE IF NOT EXISTS OrleansQuery
(
    QueryKey varchar(64) PRIMARY KEY,
    QueryText varchar(8000) NOT NULL
);

CREATE TABLE IF NOT EXISTS quicksilver_cluster
(
    cluster varchar(150) PRIMARY KEY,
    version integer NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS quicksilver_silo
(
    cluster varchar(150) NOT NULL REFERENCES quicksilver_cluster,
    address varchar(45) NOT NULL,
    port integer NOT NULL,
    generation integer NOT NULL,
    name varchar(150) NOT NULL,
    host varchar(150) NOT NULL,
    status integer NOT NULL,
    gateway integer NULL,
    suspects varchar(8000) NULL,
    started timestamptz(3) NOT NULL,
    alive timestamptz(3) NOT NULL,
    PRIMARY KEY (cluster, address, port, generation)
);

-- A write counts only where the table is at the version that it was decided on: the row of the cluster is locked by the first
-- update, and whoever waited for it finds another version.
INSERT INTO OrleansQuery (QueryKey, QueryText) VALUES
('InsertMembershipVersionKey', '
WITH made AS (INSERT INTO quicksilver_cluster (cluster) VALUES (@DeploymentId) ON CONFLICT DO NOTHING RETURNING 1)
SELECT count(*)::int FROM made'),

('InsertMembershipKey', '
WITH moved AS (
    UPDATE quicksilver_cluster SET version = version + 1
    WHERE cluster = @DeploymentId AND version = @Version AND NOT EXISTS (
        SELECT 1 FROM quicksilver_silo WHERE cluster = @DeploymentId AND address = @Address AND port = @Port AND generation = @Generation)
    RETURNING cluster),
made AS (
    INSERT INTO quicksilver_silo (cluster, address, port, generation, name, host, status, gateway, started, alive)
    SELECT cluster, @Address, @Port, @Generation, @SiloName, @HostName, @Status, @ProxyPort, @StartTime, @IAmAliveTime FROM moved
    RETURNING 1)
SELECT count(*)::int FROM made'),

('UpdateMembershipKey', '
WITH moved AS (
    UPDATE quicksilver_cluster SET version = version + 1
    WHERE cluster = @DeploymentId AND version = @Version AND EXISTS (
        SELECT 1 FROM quicksilver_silo WHERE cluster = @DeploymentId AND address = @Address AND port = @Port AND generation = @Generation)
    RETURNING cluster),
changed AS (
    UPDATE quicksilver_silo s SET status = @Status, suspects = @SuspectTimes, alive = @IAmAliveTime
    FROM moved WHERE s.cluster = moved.cluster AND s.address = @Address AND s.port = @Port AND s.generation = @Generation
    RETURNING 1)
SELECT count(*)::int FROM changed'),

('UpdateIAmAlivetimeKey', '
UPDATE quicksilver_silo SET alive = @IAmAliveTime
WHERE cluster = @DeploymentId AND address = @Address AND port = @Port AND generation = @Generation'),

('MembershipReadRowKey', '
SELECT c.cluster AS DeploymentId, s.address AS Address, s.port AS Port, s.generation AS Generation, s.name AS SiloName, s.host AS HostName,
    s.status AS Status, s.gateway AS ProxyPort, s.suspects AS SuspectTimes, s.started AS StartTime, s.alive AS IAmAliveTime, c.version AS Version
FROM quicksilver_cluster c LEFT JOIN quicksilver_silo s
    ON s.cluster = c.cluster AND s.address = @Address AND s.port = @Port AND s.generation = @Generation
WHERE c.cluster = @DeploymentId'),

('MembershipReadAllKey', '
SELECT c.cluster AS DeploymentId, s.address AS Address, s.port AS Port, s.generation AS Generation, s.name AS SiloName, s.host AS HostName,
    s.status AS Status, s.gateway AS ProxyPort, s.suspects AS SuspectTimes, s.started AS StartTime, s.alive AS IAmAliveTime, c.version AS Version
FROM quicksilver_cluster c LEFT JOIN quicksilver_silo s ON s.cluster = c.cluster
WHERE c.cluster = @DeploymentId'),

('DeleteMembershipTableEntriesKey', '
DELETE FROM quicksilver_silo WHERE cluster = @DeploymentId;
DELETE FROM quicksilver_cluster WHERE cluster = @DeploymentId'),

('CleanupDefunctSiloEntriesKey', '
DELETE FROM quicksilver_silo WHERE cluster = @DeploymentId AND alive < @IAmAliveTime AND status <> 3'),

('GatewaysQueryKey', '
SELECT address AS Address, gateway AS ProxyPort, generation AS Generation FROM quicksilver_silo
WHERE cluster = @DeploymentId AND status = @Status AND gateway > 0')
ON CONFLICT DO NOTHING;
