//! From the servers of the settings to a connection to the one that takes writes.
//!
//! One server is taken as it is. Of several, and of what a Sentinel names, only one that calls itself
//! a primary will do, because after a failover the old one may still answer.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError};
use thiserror::Error;

use crate::redis::settings::RedisSettings;
use crate::url::Server;

/// Connects to the primary, asking each server in turn.
///
/// # Errors
///
/// Of the last server that was asked.
pub(super) async fn connect(settings: &RedisSettings) -> Result<MultiplexedConnection, ConnectError> {
    let mut last = ConnectError::Nowhere;
    for server in &settings.servers {
        let found = match &settings.sentinel {
            None => open(settings, server).await,
            Some(name) => match named_by(settings, server, name).await {
                Ok(primary) => open(settings, &primary).await,
                Err(error) => Err(error),
            },
        };
        match found {
            Ok((connection, true)) => return Ok(connection),
            Ok((_, false)) => last = ConnectError::Replica { server: server.to_string() },
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub(super) enum ConnectError {
    #[error("no server is set")]
    Nowhere,
    #[error("cannot use {server}: check that it runs there, and the password")]
    Server { server: String, source: RedisError },
    #[error("{server} is a replica: name its primary too, or the Sentinels")]
    Replica { server: String },
    #[error("Sentinel {server} knows no primary {name:?}: check the name")]
    UnknownPrimary { server: String, name: String },
}

/// A connection, and whether it leads to a primary.
async fn open(settings: &RedisSettings, server: &Server) -> Result<(MultiplexedConnection, bool), ConnectError> {
    let failed = |source| ConnectError::Server { server: server.to_string(), source };
    let mut login = RedisConnectionInfo::default().set_db(settings.database.into()).set_skip_set_lib_name();
    if let Some(user) = &settings.user {
        login = login.set_username(user);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password.reveal());
    }
    let mut connection = dial(settings, server, REDIS_PORT, login).await.map_err(failed)?;
    if settings.servers.len() == 1 && settings.sentinel.is_none() {
        return Ok((connection, true));
    }
    let role: Vec<redis::Value> = redis::cmd("ROLE").query_async(&mut connection).await.map_err(failed)?;
    let primary = role.first().is_some_and(|role| matches!(role, redis::Value::BulkString(name) if name == b"master"));
    Ok((connection, primary))
}

/// The primary that one Sentinel names. Sentinels are asked without a login: the one of the settings
/// is the servers', and is not to be shown to others.
async fn named_by(settings: &RedisSettings, sentinel: &Server, name: &str) -> Result<Server, ConnectError> {
    let failed = |source| ConnectError::Server { server: format!("Sentinel {sentinel}"), source };
    let ask = || async {
        let nobody = RedisConnectionInfo::default().set_skip_set_lib_name();
        let mut connection = dial(settings, sentinel, SENTINEL_PORT, nobody).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(name).query_async::<Option<(String, u16)>>(&mut connection).await
    };
    match ask().await.map_err(failed)? {
        Some((host, port)) => Ok(Server { host, port: Some(port) }),
        None => Err(ConnectError::UnknownPrimary { server: sentinel.to_string(), name: name.to_owned() }),
    }
}

async fn dial(
    settings: &RedisSettings,
    server: &Server,
    usual_port: u16,
    login: RedisConnectionInfo,
) -> Result<MultiplexedConnection, RedisError> {
    let address = ConnectionAddr::Tcp(server.host.clone(), server.port.unwrap_or(usual_port));
    let client = Client::open(address.into_connection_info()?.set_redis_settings(login))?;
    let patience = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.patience))
        .set_response_timeout(Some(settings.patience));
    client.get_multiplexed_async_connection_with_config(&patience).await
}

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
