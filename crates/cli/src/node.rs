//! Node as the machine: `npm/machine.js` does what is asked.

use std::collections::BTreeMap;
use std::env::VarError;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use adapters::http::HttpRequest;
use chrono::{DateTime, Utc};
use js_sys::{Array, JsString, Reflect, Uint8Array};
use machine::http::{Answer, LONGEST_BODY, Reply, Silence, USER_AGENT};
use machine::{Argument, Ended, Kind, Machine, Process, Program, Stream};
use serde_json::{Value as Json, json};
use uuid::Uuid;
use wasm_bindgen::prelude::*;

/// `root`: the package's directory. Returns the exit code.
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "JavaScript calls it")]
pub fn main(root: String, arguments: Vec<String>) -> u8 {
    console_error_panic_hook::set_once();
    crate::run(&Node, &Program::packaged(PathBuf::from(root)), arguments)
}

#[wasm_bindgen(raw_module = "./machine.js")]
extern "C" {
    #[wasm_bindgen(js_name = typedPath)]
    fn typed_path(path: &str) -> String;
    #[wasm_bindgen(catch)]
    fn read(path: &str) -> Result<Uint8Array, JsValue>;
    fn kind(path: &str) -> Option<String>;
    #[wasm_bindgen(js_name = isLink)]
    fn is_link(path: &str) -> bool;
    #[wasm_bindgen(catch)]
    fn entries(directory: &str) -> Result<Array, JsValue>;
    #[wasm_bindgen(catch, js_name = realPath)]
    fn real_path(path: &str) -> Result<String, JsValue>;
    #[wasm_bindgen(catch)]
    fn replace(path: &str, content: &[u8]) -> Result<(), JsValue>;
    #[wasm_bindgen(catch, js_name = createDirectories)]
    fn create_directories(path: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    fn rename(from: &str, to: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(catch, js_name = removeFile)]
    fn remove_file(path: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(catch, js_name = removeEmptyDirectory)]
    fn remove_empty_directory(path: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(catch, js_name = createTemporaryDirectory)]
    fn create_temporary_directory() -> Result<String, JsValue>;
    #[wasm_bindgen(catch, js_name = removeTemporaryDirectory)]
    fn remove_temporary_directory(path: &str) -> Result<(), JsValue>;
    fn variable(name: &str) -> Option<String>;
    fn now() -> f64;
    fn sleep(milliseconds: f64);
    fn uuid() -> String;
    fn write(descriptor: u8, text: &str);
    #[wasm_bindgen(catch, js_name = readLine)]
    fn read_line() -> Result<String, JsValue>;
    #[wasm_bindgen(js_name = isTerminal)]
    fn is_terminal(descriptor: u8) -> bool;
    fn columns() -> Option<u32>;
    #[wasm_bindgen(catch)]
    fn run(process: &str) -> Result<String, JsValue>;
    #[wasm_bindgen(js_name = sendAll)]
    fn send_all(requests: &str) -> String;
    fn resolve(host: &str, milliseconds: f64) -> Array;
}

struct Node;

impl Machine for Node {
    fn typed_path(&self, path: &Path) -> PathBuf {
        PathBuf::from(typed_path(text(path)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(read(text(path)).map_err(error)?.to_vec())
    }

    fn kind(&self, path: &Path) -> Option<Kind> {
        kind(text(path)).map(|kind| if kind == "directory" { Kind::Directory } else { Kind::File })
    }

    fn is_link(&self, path: &Path) -> bool {
        is_link(text(path))
    }

    fn entries(&self, directory: &Path) -> io::Result<Vec<String>> {
        Ok(strings(&entries(text(directory)).map_err(error)?))
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        real_path(text(path)).map(PathBuf::from).map_err(error)
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        replace(text(path), content).map_err(error)
    }

    fn create_directories(&self, path: &Path) -> io::Result<()> {
        create_directories(text(path)).map_err(error)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        rename(text(from), text(to)).map_err(error)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        remove_file(text(path)).map_err(error)
    }

    fn remove_empty_directory(&self, path: &Path) -> io::Result<()> {
        remove_empty_directory(text(path)).map_err(error)
    }

    fn in_temporary_directory(&self, work: &mut dyn FnMut(&Path)) -> io::Result<()> {
        let directory = create_temporary_directory().map_err(error)?;
        work(Path::new(&directory));
        remove_temporary_directory(&directory).map_err(error)
    }

    fn variable(&self, name: &str) -> Result<String, VarError> {
        variable(name).ok_or(VarError::NotPresent)
    }

    fn now(&self) -> DateTime<Utc> {
        moment(now() as i64)
    }

    fn sleep(&self, duration: Duration) {
        sleep(milliseconds(duration));
    }

    fn uuid(&self) -> Uuid {
        uuid().parse().unwrap_or_default()
    }

    fn write(&self, stream: Stream, text: &str) {
        write(descriptor(stream), text);
    }

    fn read_line(&self) -> io::Result<String> {
        read_line().map_err(error)
    }

    fn is_terminal(&self, stream: Stream) -> bool {
        is_terminal(descriptor(stream))
    }

    fn columns(&self) -> Option<usize> {
        columns().map(|columns| columns as usize)
    }

    fn run(&self, process: &Process) -> io::Result<Ended> {
        let argument = |argument: &Argument| match argument {
            Argument::Text(text) => json!({ "text": text }),
            Argument::SecretFile(content) => json!({ "secret": content }),
        };
        let process = json!({
            "program": process.program,
            "arguments": process.arguments.iter().map(argument).collect::<Vec<_>>(),
            "environment": process.environment.iter().cloned().collect::<BTreeMap<_, _>>(),
            "isCaptured": process.is_captured,
        });
        let ended: Json = parse(&run(&process.to_string()).map_err(error)?);
        let printed = |stream: &str| ended.get(stream).and_then(Json::as_str).unwrap_or_default().to_owned();
        Ok(Ended {
            code: ended.get("code").and_then(Json::as_i64).and_then(|code| i32::try_from(code).ok()),
            output: printed("output"),
            errors: printed("errors"),
        })
    }

    fn send_all(&self, requests: Vec<(HttpRequest, Duration)>) -> Vec<Reply> {
        let request = |(request, timeout): &(HttpRequest, Duration)| {
            let mut headers = request.headers.clone();
            headers.push(("user-agent".to_owned(), USER_AGENT.to_owned()));
            json!({
                "method": request.method.name(),
                "url": request.url,
                "headers": headers,
                "body": request.body,
                "longest": LONGEST_BODY,
                "milliseconds": milliseconds(*timeout),
            })
        };
        let count = requests.len();
        let requests: Vec<Json> = requests.iter().map(request).collect();
        let replies = parse(&send_all(&Json::from(requests).to_string()));
        let mut replies: Vec<Reply> = replies.as_array().into_iter().flatten().map(reply).collect();
        replies.resize(count, Err(Silence::Broken));
        replies
    }

    fn resolve(&self, host: &str, within: Duration) -> Vec<IpAddr> {
        let addresses = resolve(host, milliseconds(within));
        strings(&addresses).iter().filter_map(|address| address.parse().ok()).collect()
    }
}

fn reply(reply: &Json) -> Reply {
    let text = |name: &str| reply.get(name).and_then(Json::as_str);
    let number = |name: &str| reply.get(name).and_then(Json::as_i64);
    let Some(status) = number("status").and_then(|status| u16::try_from(status).ok()) else {
        let silence = Silence::ALL.into_iter().find(|silence| text("silence") == Some(silence.code()));
        return Err(silence.unwrap_or(Silence::Broken));
    };
    let body = text("body").unwrap_or_default().to_owned();
    let moment = |name: &str| moment(number(name).unwrap_or_default());
    Ok(Answer::new((status, body), text("date"), text("location"), (moment("before"), moment("after"))))
}

/// Whatever names a file here came from Node as text.
fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

fn strings(array: &Array) -> Vec<String> {
    array.iter().filter_map(|item| item.as_string()).collect()
}

fn parse(json: &str) -> Json {
    serde_json::from_str(json).unwrap_or_default()
}

fn moment(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn descriptor(stream: Stream) -> u8 {
    match stream {
        Stream::Input => 0,
        Stream::Output => 1,
        Stream::Error => 2,
    }
}

/// Of Node's error what the operating system said.
fn error(thrown: JsValue) -> io::Error {
    let member = |name: &str| Reflect::get(&thrown, &JsString::from(name)).ok()?.as_string();
    let kind = match member("code").as_deref() {
        Some("ENOENT") => ErrorKind::NotFound,
        Some("EACCES" | "EPERM") => ErrorKind::PermissionDenied,
        Some("ENOTDIR") => ErrorKind::NotADirectory,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, member("message").unwrap_or_default())
}
