//! The conformance kit: one node with an ACL file, two with configuration files, one that keeps nothing.

use crate::server::{Keeps, PASSWORD, Server, config, role};
use deadpool_redis::redis::{self, Value as Answer};
use secrethub_engine::conformance::Fixture;
use secrethub_engine_redis::Redis;
use serde_json::Value;

trait Kind: Send + Sync + 'static {
    const NODES: usize;
    const KEEPS: Keeps;
}

struct Target<K>(Vec<Server>, std::marker::PhantomData<K>);

impl<K: Kind> Fixture for Target<K> {
    type Engine = Redis;

    async fn start() -> Self {
        Self((0..K::NODES).map(|_| Server::start(K::KEEPS)).collect(), std::marker::PhantomData)
    }

    fn config(&self) -> Value {
        config(&self.0.iter().collect::<Vec<_>>())
    }

    fn role(&self) -> Value {
        role()
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }

    async fn works(&self, credentials: &Value) -> bool {
        let works: Vec<_> = self.0.iter().map(|server| server.accepts(credentials)).collect();
        assert!(works.iter().all(|here| *here == works[0]), "nodes agree");
        works[0]
    }

    async fn accounts(&self) -> Vec<String> {
        let mut accounts: Vec<_> = self.0.iter().flat_map(Server::accounts).collect();
        accounts.sort();
        accounts.dedup();
        accounts
    }

    async fn plant_foreign(&self) {
        for server in &self.0 {
            let mut command = redis::cmd("ACL");
            command.arg("SETUSER").arg("shub_boss").arg("on").arg(">hers").arg("+@all");
            let _: () = command.query(&mut server.root()).unwrap();
        }
    }

    async fn foreign_is_there(&self) -> bool {
        self.0.iter().all(|server| {
            let user: Answer =
                redis::cmd("ACL").arg("GETUSER").arg("shub_boss").query(&mut server.root()).unwrap();
            user != Answer::Nil && server.login("shub_boss", "hers").is_ok()
        })
    }
}

mod acl_file {
    use super::*;

    struct OneNode;

    impl Kind for OneNode {
        const NODES: usize = 1;
        const KEEPS: Keeps = Keeps::AclFile;
    }

    secrethub_engine::conformance!(Target<OneNode>);
}

mod config_file {
    use super::*;

    struct TwoNodes;

    impl Kind for TwoNodes {
        const NODES: usize = 2;
        const KEEPS: Keeps = Keeps::ConfigFile;
    }

    secrethub_engine::conformance!(Target<TwoNodes>);
}

mod nothing {
    use super::*;

    struct Forgetful;

    impl Kind for Forgetful {
        const NODES: usize = 1;
        const KEEPS: Keeps = Keeps::Nothing;
    }

    secrethub_engine::conformance!(Target<Forgetful>);
}
