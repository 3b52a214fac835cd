use larder_base::ErrorKind;

use super::*;

fn plan(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Plan> {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let environment = environment.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Plan::read(&arguments, &environment, &"default".parse().unwrap())
}

/// The environment in which ccache 4.14.2 starts a helper for
/// `larder://cache.example:7979/demo @token=secret @tls=true @color=blue`.
const STARTED: [(&str, &str); 10] = [
    ("CRSH_IPC_ENDPOINT", "/run/user/0/ccache-tmp/storage-larder-0a1b"),
    ("CRSH_URL", "larder://cache.example:7979/demo"),
    ("CRSH_IDLE_TIMEOUT", "600"),
    ("CRSH_NUM_ATTR", "3"),
    ("CRSH_ATTR_KEY_0", "token"),
    ("CRSH_ATTR_VALUE_0", "secret"),
    ("CRSH_ATTR_KEY_1", "tls"),
    ("CRSH_ATTR_VALUE_1", "true"),
    ("CRSH_ATTR_KEY_2", "color"),
    ("CRSH_ATTR_VALUE_2", "blue"),
];

#[test]
fn ccache_says_all_in_the_environment() {
    let plan = plan(&[], &STARTED).unwrap();
    assert_eq!(plan.socket, PathBuf::from("/run/user/0/ccache-tmp/storage-larder-0a1b"));
    assert_eq!(plan.idle, Some(Duration::from_secs(600)));
    assert_eq!(plan.server.origin, Some((Scheme::HTTPS, "cache.example:7979".parse().unwrap())));
    assert_eq!(plan.server.namespace.as_str(), "demo");
    assert_eq!(plan.server.token.unwrap(), "Bearer secret");
    assert_eq!(plan.notes, ["the attribute color means nothing to larder, or has a wrong value"]);
}

#[test]
fn by_hand_a_path_is_enough_and_the_helper_stays() {
    let by_hand = plan(&["/tmp/socket"], &[]).unwrap();
    let server = Server { origin: None, namespace: "default".parse().unwrap(), token: None };
    assert_eq!(by_hand, Plan { socket: "/tmp/socket".into(), idle: None, server, notes: Vec::new() });
    assert_eq!(plan(&["s", "--idle-timeout", "5"], &[]).unwrap().idle, Some(Duration::from_secs(5)));
    assert_eq!(plan(&["s"], &STARTED).unwrap().socket, PathBuf::from("s"));
}

#[test]
fn an_idle_timeout_of_nothing_is_never() {
    let with = |seconds| plan(&[], &[("CRSH_IPC_ENDPOINT", "s"), ("CRSH_IDLE_TIMEOUT", seconds)]).map(|plan| plan.idle);
    assert_eq!(with("0").unwrap(), None);
    assert_eq!(with("1").unwrap(), Some(Duration::from_secs(1)));
    assert!(with("soon").is_err());
    assert_eq!(plan(&[], &[("CRSH_IPC_ENDPOINT", "s")]).unwrap().idle, Some(IDLE_DEFAULT));
}

#[test]
fn a_url_without_host_or_namespace_leaves_them_to_the_application() {
    let server = |url| plan(&["s"], &[("CRSH_URL", url)]).map(|plan| plan.server);
    let (host, namespace) = (Some((Scheme::HTTP, "host".parse().unwrap())), "default".parse::<Namespace>().unwrap());
    assert_eq!(
        server("larder://host").unwrap(),
        Server { origin: host.clone(), namespace: namespace.clone(), token: None }
    );
    assert_eq!(server("larder://host/").unwrap(), Server { origin: host, namespace, token: None });
    for url in ["larder://token@host/demo", "larder://host/a/b", "larder://host/%20", "no url"] {
        assert_eq!(server(url).unwrap_err().kind(), ErrorKind::Invalid, "{url}");
    }
}

#[test]
fn what_is_wrong_on_the_command_line_is_told_with_the_usage() {
    for arguments in [&[][..], &["--idle-timeout"], &["s", "--idle-timeout", "x"], &["s", "--verbose"]] {
        let error = plan(arguments, &[]).unwrap_err();
        assert!(error.hint().unwrap().starts_with("usage: larder crsh"), "{arguments:?}");
    }
}

#[test]
fn a_count_of_attributes_that_is_a_lie_does_no_harm() {
    let attributes = [("CRSH_NUM_ATTR", "18446744073709551615"), ("CRSH_ATTR_KEY_0", "token")];
    assert!(plan(&["s"], &attributes).unwrap().server.token.is_some());
}
