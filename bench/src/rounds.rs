//! How noise is treated: contestants take turns, and what is told is the median with the extremes beside it.
//!
//! A shared machine is faster in one minute than in the next. Contestants that alternate (A B C A B C) all meet the
//! same minutes, so their ratio holds where the figures themselves drift.

/// What several rounds of one measurement come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// The middle one, or the mean of the middle two.
    pub(crate) median: f64,
    /// The least.
    pub(crate) min: f64,
    /// The most.
    pub(crate) max: f64,
}

impl Spread {
    /// Of `samples` in any order; `None` of none.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Some(Self { median, min, max })
    }
}

/// Lets every contestant take one turn per round. Returns what each one measured, round by round; the first error ends
/// it all.
pub(crate) fn interleave<C, T, E>(
    rounds: u32,
    contestants: &[C],
    mut turn: impl FnMut(&C) -> Result<T, E>,
) -> Result<Vec<Vec<T>>, E> {
    let mut taken: Vec<Vec<T>> = contestants.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (contestant, samples) in contestants.iter().zip(&mut taken) {
            samples.push(turn(contestant)?);
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }

    #[test]
    fn contestants_take_turns() {
        let mut order = String::new();
        let taken = interleave(2, &['a', 'b', 'c'], |&name| {
            order.push(name);
            Ok::<_, ()>(order.len())
        });
        assert_eq!(order, "abcabc");
        assert_eq!(taken, Ok(vec![vec![1, 4], vec![2, 5], vec![3, 6]]));
    }

    #[test]
    fn an_error_ends_it() {
        let mut turns = 0;
        let taken = interleave(5, &[()], |()| {
            turns += 1;
            if turns < 3 { Ok(turns) } else { Err("broken") }
        });
        assert_eq!((taken, turns), (Err("broken"), 3));
    }
}
