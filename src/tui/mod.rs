//! The workbench: five screens over the same rooms that the headless commands use.
//!
//! `App` holds numbers; `update` changes them; `screen` turns them into words and places those. Slow work runs on its
//! own threads and speaks in messages; one loop waits in one place.

mod action;
mod app;
mod facts;
mod keys;
mod layout;
mod progress;
mod screen;
mod theme;
mod widget;
