//! Rebuilds the crate when the page that it embeds has been built. See src/http/playground.rs.

use std::path::Path;

fn main() {
    let built = "playground/dist/index.html";
    // Cargo runs a build script whenever a file that it names is missing, so that it names the directory until then.
    println!("cargo::rerun-if-changed={}", if Path::new(built).exists() { built } else { "playground" });
}
