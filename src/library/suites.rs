//! Suites by name, with data from the hub where they name it: `suite` reads files, `hub` knows where they are; here they
//! meet. Loading looks at this machine only; what is not here is fetched before a run, by name.

use anyhow::Result;
use bantam_eval::{self as eval, Suite};
use bantam_hub::{Cache, DataName, Error};

/// Reads a suite; data of the hub is taken from the cache.
pub fn load(name: &str) -> Result<Suite, eval::Error> {
    let cache = Cache::here();
    eval::load_with(name, &|data| {
        let data = DataName::parse(data).map_err(|e| e.to_string())?;
        cache.data(&data).map_err(|e| e.to_string())
    })
}

/// The data of the hub that a suite names and that is not here, or not whole.
///
/// # Errors
/// Where the suite cannot be read or what it names is no dataset.
pub fn to_fetch(name: &str) -> Result<Vec<DataName>> {
    let cache = Cache::here();
    let named: Vec<DataName> =
        eval::data_on_hub(name)?.iter().map(|data| DataName::parse(data)).collect::<Result<_, Error>>()?;
    Ok(named.into_iter().filter(|data| cache.data(data).is_err()).collect())
}
