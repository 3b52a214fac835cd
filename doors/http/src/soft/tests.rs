use axum::body::Body;
use http::{Method, StatusCode};
use larder_base::DoorName;
use larder_testkit::faulty::Verb as Call;

use super::*;
use crate::testing::{self, World};

const KINDS: [ErrorKind; 7] = [
    ErrorKind::Invalid,
    ErrorKind::TooLarge,
    ErrorKind::Denied,
    ErrorKind::Full,
    ErrorKind::Unavailable,
    ErrorKind::Corrupt,
    ErrorKind::Failed,
];

/// The calls that a verb of each client cannot do without.
const CALLS: [Call; 6] =
    [Call::GetBlob, Call::PutBlob, Call::MissingBlobs, Call::GetEntry, Call::PutEntry, Call::DeleteEntry];

fn paths(client: Client) -> Vec<String> {
    let hash = testing::sha(b"value");
    match client {
        Client::Ccache => vec![format!("/http/ccache/demo/{}", &hash[..40])],
        Client::Bazel => vec![format!("/http/bazel/demo/ac/{hash}"), format!("/http/bazel/demo/cas/{hash}")],
        Client::Kv => vec!["/http/kv/demo/some/key".to_owned()],
    }
}

fn methods(verb: Verb) -> &'static [Method] {
    match verb {
        Verb::Read => &[Method::GET, Method::HEAD],
        Verb::Write => &[Method::PUT],
        Verb::Remove => &[Method::DELETE],
    }
}

fn request(method: &Method, path: &str) -> http::Request<Body> {
    let mut request = testing::request(method, path);
    // Nothing is a whole ActionResult, too.
    if path.contains("/ac/") {
        *request.body_mut() = Body::empty();
    }
    request
}

#[tokio::test]
async fn each_row_of_the_table_is_what_its_client_is_told() {
    let mut told = 0;
    for (client, verb, answers) in TABLE {
        // No client of Bazel's protocol removes anything.
        if (client, verb) == (Client::Bazel, Verb::Remove) {
            continue;
        }
        for (kind, answer) in KINDS.into_iter().zip(answers) {
            for (method, path) in
                methods(verb).iter().flat_map(|method| paths(client).into_iter().map(move |p| (method, p)))
            {
                let world = World::new();
                world.fail(&CALLS, kind);
                let response = world.send(request(method, &path)).await;
                let expected = match answer {
                    Answer::Honest(StatusCode::FORBIDDEN) => StatusCode::UNAUTHORIZED,
                    Answer::Honest(status) => status,
                    Answer::Miss => StatusCode::NOT_FOUND,
                    Answer::Dropped => StatusCode::OK,
                };
                assert_eq!(response.status(), expected, "{method} {path} met {kind:?}");
                let door: DoorName = format!("http-{}", client.as_str()).parse().unwrap();
                let counted = world.cache.counters().soft_answers(&door, client.as_str(), kind);
                assert_eq!(counted == 1, !matches!(answer, Answer::Honest(_)), "{method} {path} met {kind:?}");
                told += 1;
            }
        }
    }
    assert_eq!(told, 7 * (2 + 1 + 1 + 4 + 2 + 2 + 1 + 1));
}

#[test]
fn no_answer_to_ccache_gives_a_reason_to_give_the_server_up_for_a_fault_of_ours() {
    for kind in [ErrorKind::Full, ErrorKind::Unavailable, ErrorKind::Corrupt, ErrorKind::Failed] {
        assert_eq!(answer(Client::Ccache, Verb::Read, kind), Answer::Miss);
        assert_eq!(answer(Client::Ccache, Verb::Write, kind), Answer::Dropped);
    }
}

#[test]
fn only_ccache_is_told_that_a_write_went_well_when_it_did_not() {
    for (client, verb, answers) in TABLE {
        let dropped = answers.contains(&Answer::Dropped);
        assert_eq!(dropped, (client, verb) == (Client::Ccache, Verb::Write), "{client:?} {verb:?}");
    }
}

#[test]
fn plain_http_is_always_told_the_truth() {
    for verb in [Verb::Read, Verb::Write, Verb::Remove] {
        for kind in KINDS {
            assert!(matches!(answer(Client::Kv, verb, kind), Answer::Honest(_)), "{verb:?} {kind:?}");
        }
    }
}

/// The row as the user's page has it.
fn row_for_users((client, verb, answers): Row) -> String {
    let verb = match verb {
        Verb::Read => "GET, HEAD",
        Verb::Write => "PUT",
        Verb::Remove => "DELETE",
    };
    let answers = answers.map(|answer| match answer {
        Answer::Honest(StatusCode::FORBIDDEN) => "refused".to_owned(),
        Answer::Honest(status) => status.as_str().to_owned(),
        Answer::Miss => "miss".to_owned(),
        Answer::Dropped => "dropped".to_owned(),
    });
    format!("| {} | {verb} | {} |", client.as_str(), answers.join(" | "))
}

#[test]
fn the_user_s_page_has_this_table() {
    let page = include_str!("../../README.md");
    for row in TABLE.into_iter().filter(|row| (row.0, row.1) != (Client::Bazel, Verb::Remove)) {
        let row = row_for_users(row);
        assert!(page.contains(&row), "doors/http/README.md lacks the row {row}");
    }
}

#[test]
fn each_client_and_verb_has_one_row() {
    for client in [Client::Ccache, Client::Bazel, Client::Kv] {
        for verb in [Verb::Read, Verb::Write, Verb::Remove] {
            let rows = TABLE.iter().filter(|row| row.0 == client && row.1 == verb).count();
            assert_eq!(rows, 1, "{client:?} {verb:?}");
        }
    }
}
