//! A cluster of PostgreSQL, from start to crash.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use local_supabase::postgres::Cluster;

#[tokio::test]
async fn a_cluster_keeps_its_data_and_its_address_over_a_restart() {
    let mut cluster = Cluster::start().await.unwrap();
    let url = cluster.url();
    let client = cluster.connect().await.unwrap();
    client.batch_execute("create table kept as select 42 as answer").await.unwrap();

    cluster.stop().await;
    assert!(cluster.connect().await.is_err());
    cluster.restart().await.unwrap();

    assert_eq!(cluster.url(), url);
    let client = cluster.connect().await.unwrap();
    let row = client.query_one("select answer from kept", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 42);
}

/// npm has it for this platform only; elsewhere it is this machine's.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[tokio::test]
async fn it_is_of_the_version_that_new_projects_have() {
    let cluster = Cluster::start().await.unwrap();
    let row = cluster.connect().await.unwrap().query_one("show server_version", &[]).await.unwrap();
    assert!(row.get::<_, &str>(0).starts_with("17."), "{}", row.get::<_, &str>(0));
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_committed() {
    let mut cluster = Cluster::start().await.unwrap();
    let client = cluster.connect().await.unwrap();
    client.batch_execute("create table kept as select 42 as answer").await.unwrap();
    client.batch_execute("begin; update kept set answer = 43").await.unwrap();

    cluster.crash().await;
    assert!(client.batch_execute("commit").await.is_err());
    cluster.restart().await.unwrap();

    let client = cluster.connect().await.unwrap();
    let row = client.query_one("select answer from kept", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 42);
}
