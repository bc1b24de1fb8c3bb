//! Rebuilds the crate when the page that it embeds has been built. See src/http/playground.rs.

use std::path::Path;

fn main() {
    let built = "playground/dist/index.html";
    // While a named file is missing, Cargo runs the build script on every build. So the script names the directory until the
    // page has been built.
    println!("cargo::rerun-if-changed={}", if Path::new(built).exists() { built } else { "playground" });
}
