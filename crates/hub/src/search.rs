//! Searching the hub: pages of repositories, as many as are wanted, with the parameters counted where the hub's own
//! number cannot be believed.

use super::error::Error;
use super::listing::{Page, Raw};
use super::name::{Name, Repo, RepoKind, encoded_part};
use super::{Fault, Hub, MAIN};

/// A query of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Words that the repository's name holds; empty for all.
    pub text: String,
    /// A task or a tag: text-generation, gguf, license:mit.
    pub filter: Option<String>,
    /// Leaves out what is larger, and what does not tell its size.
    pub max_parameters: Option<u64>,
    /// The order of what is found.
    pub sort: Sort,
    /// Repositories a page; where a size is asked for, pages of the hub are gathered until there are so many.
    pub limit: usize,
}

/// The order of what is found, the most first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// By downloads of the last 30 days.
    #[default]
    Downloads,
    /// By likes.
    Likes,
    /// By the hub's own measure of what is in fashion.
    Trending,
    /// By the last change, newest first.
    Modified,
    /// By when it was made, newest first.
    Created,
}

impl Sort {
    /// All orders, as a user is offered them.
    pub const ALL: [Sort; 5] = [Sort::Downloads, Sort::Likes, Sort::Trending, Sort::Modified, Sort::Created];

    /// Gives the name that a user types.
    pub fn name(self) -> &'static str {
        match self {
            Sort::Downloads => "downloads",
            Sort::Likes => "likes",
            Sort::Trending => "trending",
            Sort::Modified => "modified",
            Sort::Created => "created",
        }
    }

    /// As the hub reads it.
    fn key(self) -> &'static str {
        match self {
            Sort::Downloads => "downloads",
            Sort::Likes => "likes",
            Sort::Trending => "trendingScore",
            Sort::Modified => "lastModified",
            Sort::Created => "createdAt",
        }
    }
}

/// A repository that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The repository.
    pub repo: Repo,
    /// What its page says.
    pub page: Page,
    /// Its parameters; None where the hub does not tell them, or counts packed integers and no header was read instead.
    pub parameters: Option<u64>,
}

/// A page of results.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hits {
    /// The repositories, in the order asked for.
    pub hits: Vec<Hit>,
    /// Where the next page is, for [`Hub::more`].
    pub next: Option<Next>,
}

/// The address of a page that has not been asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next(String);

/// What is told of each repository.
const FACTS: [&str; 12] = [
    "downloads",
    "likes",
    "lastModified",
    "gated",
    "private",
    "pipeline_tag",
    "library_name",
    "tags",
    "config",
    "safetensors",
    "gguf",
    "cardData",
];

/// Pages that are looked through for enough repositories of a size.
const MOST_PAGES: usize = 10;

impl Query {
    /// Makes a query of these words for 20 repositories, most downloads first.
    pub fn new(text: &str) -> Query {
        Query { text: text.into(), filter: None, max_parameters: None, sort: Sort::default(), limit: 20 }
    }

    fn url(&self, endpoint: &str) -> String {
        let mut url =
            format!("{endpoint}/api/models?limit={}&sort={}&direction=-1", self.limit.max(1), self.sort.key());
        if !self.text.trim().is_empty() {
            url += &format!("&search={}", encoded_part(self.text.trim()));
        }
        if let Some(filter) = &self.filter {
            url += &format!("&filter={}", encoded_part(filter));
        }
        FACTS.iter().fold(url, |url, fact| format!("{url}&expand={fact}"))
    }
}

impl Hub {
    /// Finds the first page of repositories.
    ///
    /// # Errors
    /// One sentence on why the hub does not tell.
    pub fn search(&self, query: &Query) -> Result<Hits, Error> {
        self.http.guarded(|| self.gather(query, query.url(&self.settings.endpoint)))
    }

    /// Finds the page after one.
    ///
    /// # Errors
    /// As for [`Hub::search`].
    pub fn more(&self, query: &Query, next: &Next) -> Result<Hits, Error> {
        self.http.guarded(|| self.gather(query, next.0.clone()))
    }

    /// Pages from an address on, until there are enough of them.
    fn gather(&self, query: &Query, url: String) -> Result<Hits, Error> {
        let (mut hits, mut next) = (Vec::new(), Some(url));
        for _ in 0..MOST_PAGES {
            let Some(url) = next.take() else { break };
            let (raws, after): (Vec<Raw>, _) = self.http.json(&url).map_err(|fault| self.refused(fault))?;
            next = after;
            for raw in raws {
                hits.extend(self.hit(raw, query.max_parameters)?);
            }
            if hits.len() >= query.limit {
                break;
            }
        }
        Ok(Hits { hits, next: next.map(Next) })
    }

    /// None for what is not wanted or has no name that can be pulled.
    fn hit(&self, raw: Raw, most: Option<u64>) -> Result<Option<Hit>, Error> {
        let Some(repo) = raw.repo(RepoKind::Model) else { return Ok(None) };
        let page = raw.page();
        let parameters = match (most, page.counted.total) {
            // the integers alone are too many already
            (Some(most), Some(total)) if total > most => return Ok(None),
            (Some(_), Some(_)) if page.counted.packed => match self.parameters(&repo) {
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                counted => counted.ok(),
            },
            (_, total) => total.filter(|_| !page.counted.packed),
        };
        let fits = most.is_none_or(|most| parameters.is_some_and(|n| n <= most));
        Ok(fits.then_some(Hit { repo, page, parameters }))
    }

    /// Counted from the headers of its weights.
    fn parameters(&self, repo: &Repo) -> Result<u64, Error> {
        let name = Name { repo: repo.clone(), revision: MAIN.into(), quant: None };
        let model_info = self.model_info_of(&name)?;
        model_info.parameters.map_err(|why| Error::Header { file: repo.id(), why })
    }

    fn refused(&self, fault: Fault) -> Error {
        match fault {
            Fault::Final(error) => error,
            Fault::Passing { why, .. } => {
                Error::Unreachable { fetching: false, url: self.settings.endpoint.clone(), why, tries: 1 }
            }
            Fault::Denied(denial) if denial.status == 401 => Error::Token { endpoint: self.settings.endpoint.clone() },
            Fault::Denied(denial) => Error::Refused { url: denial.url, status: denial.status, text: denial.text },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_an_address() {
        let query = Query { filter: Some("text-generation".into()), sort: Sort::Trending, ..Query::new(" smol lm&x ") };
        let url = query.url("http://h");
        assert!(url.starts_with("http://h/api/models?limit=20&sort=trendingScore&direction=-1&search=smol%20lm%26x&filter=text-generation&expand=downloads"), "{url}");
        assert!(!Query::new(" ").url("http://h").contains("search"));
    }
}
