//! What people order of a statement that runs: its pace, where it goes in batches, or its end.

use serde_json::{Value, json};

use crate::event::Ordered;
use crate::live::ledger::{State, Unheard};
use crate::pace::bulk::Order;

use super::settings::Serving;

/// So many times as fast or as slow where nobody says how many.
const TIMES: u64 = 2;

/// The question that gives an order.
pub fn question(id: u64, order: &Order, by: &str) -> Value {
    let mut question = json!({ "ask": "order", "id": id, "order": order.word(), "by": by });
    let value = match order {
        Order::Pause | Order::Resume => None,
        Order::Faster(times) | Order::Slower(times) => Some(("times", json!(times))),
        Order::RowsPerSecond(most) => Some(("rows_per_second", json!(most))),
    };
    if let (Some((name, value)), Value::Object(fields)) = (value, &mut question) {
        fields.insert(name.to_owned(), value);
    }
    question
}

/// The question that ends a statement.
pub fn cancel_question(id: u64, by: &str) -> Value {
    json!({ "ask": "cancel", "id": id, "by": by })
}

/// Hands an order to a statement; what happens in words.
pub(super) fn order(question: &Value, by: &str, serving: &Serving) -> Result<Value, String> {
    let id = number(question)?;
    let order = read(question)?;
    if by.is_empty() {
        return Err("an order needs somebody who gives it".to_owned());
    }
    let said = match serving.live.ledger().order(id, by, order.clone()) {
        Ok(statement) => {
            Ordered { id, statement: &statement, order: order.word(), by }.emit();
            format!("statement {id} ({statement}) {}", happens(&order))
        }
        Err(Unheard::PausedBy(whom)) => format!("statement {id} was paused already, by {whom}"),
        Err(Unheard::NotPaused) => format!("statement {id} was not paused: it goes on"),
        Err(why) => return Err(unheard(id, &why)),
    };
    Ok(json!({ "ok": { "id": id, "said": said } }))
}

/// Ends a statement, whatever it is, as its client could.
pub(super) async fn cancel(question: &Value, by: &str, serving: &Serving) -> Result<Value, String> {
    let id = number(question)?;
    if by.is_empty() {
        return Err("a statement is cancelled by somebody".to_owned());
    }
    let (statement, reach) = serving.live.ledger().cancel(id, by).map_err(|why| unheard(id, &why))?;
    Ordered { id, statement: &statement, order: "cancel", by }.emit();
    let said = if reach.packet.is_empty() {
        "ends behind the step that it is at: the server gave no key to cancel it by"
    } else {
        let sent = serving.now().upstream.cancel(Some(reach.host), &reach.packet).await;
        sent.map_err(|error| {
            format!("the cancel request for statement {id} did not reach the server: {error}")
        })?;
        "is cancelled; the error that its client gets says what is done"
    };
    Ok(json!({ "ok": { "id": id, "said": format!("statement {id} ({statement}) {said}") } }))
}

fn number(question: &Value) -> Result<u64, String> {
    question.get("id").and_then(Value::as_u64).ok_or_else(|| "expected the number of a statement".to_owned())
}

/// The order that a question gives.
fn read(question: &Value) -> Result<Order, String> {
    let times = || match question.get("times").map_or(Some(TIMES), Value::as_u64) {
        Some(times @ 1..=100) => u32::try_from(times).map_err(|error| error.to_string()),
        _ => Err("expected how many times as fast or as slow: 1 to 100".to_owned()),
    };
    let rate = || match question.get("rows_per_second") {
        None | Some(Value::Null) => Ok(None),
        Some(most) => match most.as_u64() {
            Some(most @ 1..) => Ok(Some(most)),
            _ => Err("expected how many rows a second, 1 at least, or none".to_owned()),
        },
    };
    Ok(match question.get("order").and_then(Value::as_str).unwrap_or_default() {
        "pause" => Order::Pause,
        "resume" => Order::Resume,
        "faster" => Order::Faster(times()?),
        "slower" => Order::Slower(times()?),
        "rate" => Order::RowsPerSecond(rate()?),
        _ => return Err("expected an order: pause, resume, faster, slower or rate".to_owned()),
    })
}

fn happens(order: &Order) -> String {
    match order {
        Order::Pause => "stops behind the batch that it is at, until somebody resumes it".to_owned(),
        Order::Resume => "goes on with its next batch".to_owned(),
        Order::Faster(times) => {
            format!("goes {times} times as fast from its next batch on, as far as nobody has to wait for it")
        }
        Order::Slower(times) => format!("goes {times} times as slow from its next batch on"),
        Order::RowsPerSecond(Some(most)) => {
            format!("changes no more than {most} rows a second from its next batch on")
        }
        Order::RowsPerSecond(None) => "has no bound on rows a second from its next batch on".to_owned(),
    }
}

/// Why an order changes nothing, and what to do.
fn unheard(id: u64, why: &Unheard) -> String {
    const LIST: &str = "lockkeeper status, or SHOW STATUS in the console, lists what runs with its numbers";
    match why {
        Unheard::Unknown => format!("no statement has the number {id}: {LIST}"),
        Unheard::Ended { what, state } => format!("statement {id} ({what}) has ended: {}", state.word()),
        Unheard::NotPaced { what, state: State::Held } => format!(
            "statement {id} ({what}) is held and has not begun; lockkeeper cancel {id}, or CANCEL {id} in the console, gives it up"
        ),
        Unheard::NotPaced { what, .. } => format!(
            "statement {id} ({what}) does not go in batches, so that its pace is its own; lockkeeper cancel {id}, or CANCEL {id} in the \
             console, ends it"
        ),
        Unheard::PausedBy(whom) => format!("statement {id} was paused already, by {whom}"),
        Unheard::NotPaused => format!("statement {id} was not paused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_read() {
        let all = [
            Order::Pause,
            Order::Resume,
            Order::Faster(3),
            Order::Slower(100),
            Order::RowsPerSecond(Some(5)),
            Order::RowsPerSecond(None),
        ];
        for order in all {
            assert_eq!(read(&question(7, &order, "ann")), Ok(order));
        }
        let ask = |name: &str, value: Value| json!({ "order": "faster", name: value });
        assert_eq!(read(&ask("none", Value::Null)), Ok(Order::Faster(2)));
        for wrong in [json!(0), json!(101), json!(-1), json!("2")] {
            assert!(read(&ask("times", wrong)).is_err());
        }
        for wrong in [json!(0), json!(-1), json!(1.5), json!("2")] {
            assert!(read(&json!({ "order": "rate", "rows_per_second": wrong })).is_err());
        }
        assert!(read(&json!({ "order": "stop" })).is_err());
    }
}
