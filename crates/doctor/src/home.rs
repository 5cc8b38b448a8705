//! Where a project lives, and what an operator types there.

use url::{Host, Url};

/// Docker Compose's usual port of the gateway. Another port of this machine may be that of `supabase start` or of
/// scripts/dev.
const COMPOSE_PORT: u16 = 8000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    Hosted,
    SelfHosted,
    /// An address does not tell a hosted project with a domain of its own from a self-hosted one: both are told.
    Either,
}

impl Home {
    /// Only a self-hosted project is reached by http.
    pub fn of(url: &str) -> Self {
        let Ok(parsed) = Url::parse(url) else { return Self::Either };
        match parsed.host() {
            Some(Host::Domain(name)) if name.ends_with(".supabase.co") => Self::Hosted,
            _ if is_loopback(url) && parsed.port() != Some(COMPOSE_PORT) => Self::Either,
            _ if parsed.scheme() == "http" => Self::SelfHosted,
            _ => Self::Either,
        }
    }

    pub fn pick(self, hosted: &str, self_hosted: &str) -> String {
        match self {
            Self::Hosted => hosted.to_owned(),
            Self::SelfHosted => self_hosted.to_owned(),
            Self::Either => format!("{hosted} (self-hosted: {self_hosted})"),
        }
    }

    pub fn read_log(self, function: &str) -> String {
        let hosted = format!("read its log in the dashboard: Edge Functions, {function}, Logs");
        self.pick(&hosted, "read its log: `docker compose logs functions`")
    }

    /// As the end of a sentence: "deploy it: …".
    pub fn deploy(self, function: &str) -> String {
        let own = format!(
            "copy {function} and _shared into volumes/functions, then `docker compose restart functions`"
        );
        self.pick(&format!("`supabase functions deploy --use-api {function}`"), &own)
    }

    /// So that a function gets the keys of now.
    pub fn start_again(self, function: &str) -> String {
        let hosted = format!("deploy it again: `supabase functions deploy --use-api {function}`");
        self.pick(&hosted, "start it again: `docker compose up -d --force-recreate functions`")
    }

    /// What lets requests without a JWT through.
    pub fn let_in(self, function: &str) -> String {
        let hosted = format!(
            "set `verify_jwt = false` under [functions.{function}] in supabase/config.toml, and deploy it again: \
             `supabase functions deploy --use-api {function}`"
        );
        let own = "set FUNCTIONS_VERIFY_JWT=false in Docker Compose's .env, the one switch of all functions, then \
                   `docker compose up -d functions`";
        self.pick(&hosted, own)
    }

    /// Once the variables are right in supabase/.env.
    pub fn set_variables(self) -> String {
        let own = "give them to the service `functions` in docker-compose.yml (`environment`), then `docker compose up -d \
                   functions`";
        self.pick("run `supabase secrets set --env-file supabase/.env`", own)
    }

    pub fn where_keys_are(self) -> String {
        let own = "Docker Compose's .env: SUPABASE_SECRET_KEY or SERVICE_ROLE_KEY";
        self.pick("the dashboard: Project Settings, API Keys", own)
    }

    pub fn see_health(self) -> String {
        let own = "see `docker compose ps` and `docker compose logs db`";
        self.pick("see the project's health in the dashboard", own)
    }

    pub fn migrate(self) -> String {
        let own = "scripts/deploy --db-url postgresql://… --skip secrets --skip functions --skip doctor";
        let hosted = "`supabase db push`; if it says that they are applied, first `supabase migration repair --status reverted` \
                      with their versions";
        self.pick(hosted, own)
    }
}

/// Whether an address leads to this machine only.
pub fn is_loopback(url: &str) -> bool {
    match Url::parse(url).ok().as_ref().and_then(Url::host) {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// That a next step names nothing that a self-hosted project lacks.
#[cfg(test)]
#[track_caller]
pub(crate) fn assert_self_hosted(next: &str) {
    for word in ["dashboard", "`supabase ", "config.toml"] {
        assert!(!next.contains(word), "{next}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTED: &str = "https://abcdefghijklmnopqrst.supabase.co";

    #[test]
    fn an_address_tells_where_a_project_lives_as_far_as_it_can() {
        for (url, home) in [
            (HOSTED, Home::Hosted),
            ("http://kong:8000", Home::SelfHosted),
            ("http://192.168.1.5:8000", Home::SelfHosted),
            ("http://127.0.0.1:8000", Home::SelfHosted),
            ("http://127.0.0.1:54321", Home::Either),
            ("http://localhost:54421", Home::Either),
            ("http://192.168.1.5:54321", Home::SelfHosted),
            ("https://api.example.com", Home::Either),
            ("https://supabase.co.example.com", Home::Either),
            ("", Home::Either),
        ] {
            assert_eq!(Home::of(url), home, "{url}");
        }
    }

    /// Everything that is told differently.
    fn remedies(home: Home) -> [String; 8] {
        [
            home.read_log("f"),
            home.deploy("f"),
            home.start_again("f"),
            home.let_in("f"),
            home.set_variables(),
            home.where_keys_are(),
            home.see_health(),
            home.migrate(),
        ]
    }

    #[test]
    fn what_one_home_lacks_is_not_told_there() {
        for own in remedies(Home::SelfHosted) {
            assert_self_hosted(&own);
        }
        for hosted in remedies(Home::Hosted) {
            for word in ["ocker", "FUNCTIONS_VERIFY_JWT", "--db-url"] {
                assert!(!hosted.contains(word), "{hosted}");
            }
        }
        for ((either, hosted), own) in
            remedies(Home::Either).iter().zip(remedies(Home::Hosted)).zip(remedies(Home::SelfHosted))
        {
            assert_eq!(*either, format!("{hosted} (self-hosted: {own})"));
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, expected) in [
            ("http://127.0.0.1:54321", true),
            ("http://[::1]/", true),
            ("http://localhost:1", true),
            ("http://localhost.example.com", false),
            ("https://10.0.0.1", false),
            (HOSTED, false),
        ] {
            assert_eq!(is_loopback(url), expected, "{url}");
        }
    }
}
