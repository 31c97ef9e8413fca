//! The example of the product page, but for the hosts: it leaves the import of `Duration` to its reader.
use std::time::Duration;

#[rustfmt::skip]
use ferrite_migrate::{Migration, Config, Mode};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::builder()
        .source("redis://source:6379")
        .target("ferrite://target:6379")
        .mode(Mode::Live)
        .parallel(8)
        .include_pattern("user:*")
        .exclude_pattern("temp:*")
        .build()?;

    let migration = Migration::new(config).await?;

    // Start migration
    migration.start().await?;

    // Wait for sync
    while migration.lag().await? > 100 {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }

    // Cutover
    migration.cutover().await?;

    // Verify
    let result = migration.verify().await?;
    println!("Verified: {}", result.success);

    Ok(())
}
