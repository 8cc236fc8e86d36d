//! A headless Chromium, driven by its own protocol over two pipes: no driver, no network.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A page in a browser of its own.
pub struct Browser {
    child: Child,
    commands: File,
    messages: Receiver<Value>,
    session: Option<String>,
    next: u64,
    /// What the page said of errors.
    pub errors: Vec<String>,
    _folder: TempDir,
}

impl Browser {
    /// Opens a page in a window of this size.
    pub fn open(program: &Path, page: &Path, [width, height]: [u32; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [commands, answers] = ["commands", "answers"].map(|name| folder.path().join(name));
        assert!(Command::new("mkfifo").arg(&commands).arg(&answers).status().unwrap().success());
        // The protocol's pipes are the descriptors 3 and 4, which a shell opens.
        let child = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<"$0/commands" 4>"$0/answers""#])
            .arg(folder.path())
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--hide-scrollbars", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = File::options().write(true).open(commands).unwrap();
        let answers = BufReader::new(File::open(answers).unwrap());
        let (send, messages) = mpsc::channel();
        thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                if send.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut browser =
            Self { child, commands, messages, session: None, next: 0, errors: Vec::new(), _folder: folder };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        browser.call("Emulation.setDeviceMetricsOverride", size);
        browser.call("Page.navigate", json!({ "url": format!("file://{}", page.display()) }));
        browser.eval(
            "new Promise((done) => document.readyState === 'complete' ? done() : addEventListener('load', done))",
        );
        browser
    }

    /// Asks, and waits for the answer.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut command = json!({ "id": self.next, "method": method, "params": params });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let message = self.messages.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer to {method}"));
            if message["id"] == self.next {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            let params = &message["params"];
            match message["method"].as_str() {
                Some("Runtime.exceptionThrown") => self.errors.push(params["exceptionDetails"].to_string()),
                Some("Runtime.consoleAPICalled") if params["type"] == "error" => {
                    self.errors.push(params["args"].to_string());
                }
                Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                    self.errors.push(params["entry"]["text"].to_string());
                }
                _ => {}
            }
        }
    }

    /// The value of an expression, or of what it promises.
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", params);
        let shown: String = expression.chars().take(200).collect();
        assert!(answer["exceptionDetails"].is_null(), "{shown}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Draws a line with the mouse, through points of the window.
    pub fn drag(&mut self, points: &[[f64; 2]]) {
        let last = points.len() - 1;
        for (index, [x, y]) in points.iter().enumerate() {
            let kind = if index == 0 { "mousePressed" } else { "mouseMoved" };
            self.mouse(kind, [*x, *y]);
            if index == last {
                self.mouse("mouseReleased", [*x, *y]);
            }
        }
    }

    fn mouse(&mut self, kind: &str, [x, y]: [f64; 2]) {
        let params = json!({ "type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1 });
        self.call("Input.dispatchMouseEvent", params);
    }

    /// How much wider the page is than the window.
    pub fn overflow(&mut self) -> i64 {
        self.eval("document.documentElement.scrollWidth - innerWidth").as_i64().unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
