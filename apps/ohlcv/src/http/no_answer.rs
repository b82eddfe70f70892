//! What is said about a query that has no answer.

use ohlcv_domain::{Asset, IndivisibleError, Interval};
use ohlcv_usecases::QueryError;
use poem::http::StatusCode;
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaResponses, Registry};
use poem_openapi::types::Type;

use super::problem::{Code, Problem, ProblemBody, documented};

/// Knows the names that people take for assets.
#[derive(Clone, Debug)]
pub(crate) struct NoAnswer {
    /// The asset that all prices are in: `BTCUSDT` is recognised as the market of `BTC` by it.
    pub(crate) quote: Asset,
    /// The assets whose markets are recognised.
    pub(crate) tracked: Vec<Asset>,
}

impl NoAnswer {
    /// What somebody is told who asked in vain.
    pub(crate) fn problem(&self, error: QueryError) -> Problem {
        match error {
            QueryError::Store(error) => error.into(),
            QueryError::EmptyRange { start, end } => {
                let detail = format!(
                    "start {start} is not before end {end}: end is exclusive, allowed are later ones"
                );
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, Code::EmptyRange, detail).of_parameter("end")
            }
            QueryError::Indivisible(IndivisibleError { base, wanted }) => {
                let allowed = base.multiples().map(Interval::as_str).collect::<Vec<_>>().join(", ");
                let detail = format!(
                    "interval is \"{wanted}\", which {base} candles do not make: allowed are {allowed}"
                );
                let code = Code::IndivisibleInterval;
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail).of_parameter("interval")
            }
            QueryError::Sum(error) => {
                let detail = format!("{error}: allowed are shorter intervals");
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, Code::SumTooLarge, detail)
                    .of_parameter("interval")
            }
            QueryError::UnknownAsset { asset } => {
                let detail = match self.meant(asset) {
                    Some(meant) => {
                        format!(
                            "{asset} is the name of a market, not of an asset: the asset is {meant}, see /api/v1/ohlcv/{meant}"
                        )
                    }
                    None => format!(
                        "{asset} is not tracked and has no data: GET /api/v1/assets lists what there is"
                    ),
                };
                Problem::new(StatusCode::NOT_FOUND, Code::UnknownAsset, detail).of_parameter("asset")
            }
        }
    }

    /// The same where several assets were asked for at once.
    pub(crate) fn problem_of_one(&self, error: QueryError) -> Problem {
        of_assets(self.problem(error))
    }

    /// The tracked asset behind a market's name: BTC of BTCUSDT.
    fn meant(&self, asset: Asset) -> Option<Asset> {
        let stem = asset.as_str().strip_suffix(self.quote.as_str())?;
        self.tracked.iter().copied().find(|tracked| tracked.as_str() == stem)
    }
}

/// A problem of one of several assets.
pub(crate) fn of_assets(problem: Problem) -> Problem {
    if problem.is_of_parameter("asset") { problem.of_parameter("assets") } else { problem }
}

/// A problem, documented with the statuses that only queries about an asset have.
pub(crate) struct QueryProblem(Problem);

impl From<Problem> for QueryProblem {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<QueryProblem> for poem::Error {
    fn from(QueryProblem(problem): QueryProblem) -> Self {
        problem.into()
    }
}

impl ApiResponse for QueryProblem {
    fn meta() -> MetaResponses {
        documented(&[
            StatusCode::BAD_REQUEST,
            StatusCode::NOT_FOUND,
            StatusCode::UNPROCESSABLE_ENTITY,
            StatusCode::INTERNAL_SERVER_ERROR,
            StatusCode::SERVICE_UNAVAILABLE,
        ])
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}
