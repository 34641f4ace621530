//! The terminal, taken and given back: on return, on an error, on a panic, on a signal, and while the shell has it (Ctrl-Z).

use super::ground::{self, Ground};
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event as Input,
};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use rustix::process::{Signal, kill_current_process_group};
use std::io::{self, Stdout, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How long a stop may take to come.
const A_MOMENT: Duration = Duration::from_millis(20);

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Holds the terminal in raw mode on its alternate screen for as long as it lives.
pub(super) struct Guard {
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
    /// Clicks and the wheel come here; without, the terminal marks and copies with them.
    mouse: bool,
}

/// What came of asking the terminal for its background: its colour, where it told, and what was typed meanwhile.
pub(super) struct Greeting {
    pub ground: Option<Ground>,
    pub typed: Vec<Input>,
    /// Nothing came back in time: an answer may still come, between the keys.
    pub late: bool,
}

impl Guard {
    /// Takes the terminal, and asks it for its background where somebody wants to know.
    pub(super) fn take(mouse: bool, ask: bool) -> io::Result<(Guard, Greeting)> {
        give_back_on_panic();
        TAKEN.store(true, Ordering::SeqCst);
        let mut greeting = Greeting { ground: None, typed: Vec::new(), late: false };
        let taken = enable_raw_mode().and_then(|()| {
            if ask {
                greeting = ground::ask();
            }
            enter(mouse)?;
            Terminal::new(CrosstermBackend::new(io::stdout()))
        });
        match taken {
            Ok(terminal) => Ok((Guard { terminal, mouse }, greeting)),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Gives the mouse to the workbench or leaves it to the terminal.
    pub(super) fn mouse(&mut self, on: bool) -> io::Result<()> {
        self.mouse = on;
        if on { execute!(io::stdout(), EnableMouseCapture) } else { execute!(io::stdout(), DisableMouseCapture) }
    }

    /// Hands a text to the terminal's clipboard (OSC 52), which most terminals take and some ask their user about.
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout();
        write!(out, "\x1b]52;c;{}\x07", base64(text.as_bytes()))?;
        out.flush()
    }

    /// Hands the terminal to the shell, as Ctrl-Z does elsewhere, and comes back when the shell says so; the terminal is to
    /// be taken again then. Where there is no shell to go to, the system does not stop the process and it just goes on.
    pub(super) fn suspend(&self) -> io::Result<()> {
        give_back();
        // the whole group, as the terminal itself would: a program that started this one waits, too
        kill_current_process_group(Signal::TSTP)?;
        // it stops here, or on some systems a moment later
        thread::sleep(A_MOMENT);
        Ok(())
    }

    /// Sets the terminal up anew, whatever a shell made of it meanwhile; what was drawn is drawn again in whole.
    pub(super) fn take_again(&mut self) -> io::Result<()> {
        TAKEN.store(true, Ordering::SeqCst);
        // crossterm thinks that it is raw still, where somebody else stopped this process
        let _ = disable_raw_mode();
        enable_raw_mode()?;
        enter(self.mouse)?;
        // not `clear`, which asks where the cursor is while another thread reads the answers
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::new(0, 0, size.width, size.height))
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for n in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * n) & 63) as usize];
            text.push(if n <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

fn enter(mouse: bool) -> io::Result<()> {
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
    if mouse { execute!(io::stdout(), EnableMouseCapture) } else { Ok(()) }
}

impl Drop for Guard {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back, once; errors are ignored, since nothing more can be done about them.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), DisableMouseCapture, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
}

/// A panic of the screen's own thread is printed on a terminal that has been given back. A panic of another thread
/// must not write over the screen: whoever waits for that thread tells of it.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    let screen = thread::current().id();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if thread::current().id() == screen {
                give_back();
            }
            if !TAKEN.load(Ordering::SeqCst) {
                print(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn a_text_is_copied_as_rfc_4648_writes_it() {
        let said = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(said, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }
}
