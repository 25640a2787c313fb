//! Waits for the manager's name on its bus: it says it is ready before it has asked for the name.

use futures_util::StreamExt as _;
use zbus::{Connection, MatchRule, MessageStream, connection::Builder, message};

const BUS: &str = "org.freedesktop.DBus";
const NAME: &str = "org.freedesktop.systemd1";

/// Returns once somebody on the bus at `address` owns systemd's name. The caller sets the time.
pub(super) async fn of_systemd(address: &str) -> zbus::Result<()> {
    let connection: Connection = Builder::address(address).build().await?;
    let rule = MatchRule::builder()
        .msg_type(message::Type::Signal)
        .sender(BUS)
        .interface(BUS)
        .member("NameOwnerChanged")
        .arg(0, NAME)
        .build()?;
    // Listening first and asking then misses no change in between.
    let mut changes = MessageStream::for_match_rule(rule, &connection, None).await?;
    let owned = connection
        .call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), "NameHasOwner", &NAME)
        .await?;
    if owned.body().deserialize::<bool>()? {
        return Ok(());
    }
    while let Some(change) = changes.next().await {
        let change = change?;
        let body = change.body();
        let (_, _, new) = body.deserialize::<(&str, &str, &str)>()?;
        if !new.is_empty() {
            break;
        }
    }
    Ok(())
}
