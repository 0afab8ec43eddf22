//! The attributes and methods of numbers.

use num_bigint::BigInt;
use num_traits::One;

use crate::eval::budget::Fault;
use crate::eval::evaluate::Evaluator;
use crate::eval::evaluate::methods::wrong_number;
use crate::eval::value::{Items, Value};

/// Attributes that are values.
pub(crate) const INTEGER_PARTS: &[&str] = &["denominator", "imag", "numerator", "real"];
/// The same of floats.
pub(crate) const FLOAT_PARTS: &[&str] = &["imag", "real"];

/// Methods of whole numbers and truth values, sorted.
pub(crate) const INTEGER_METHODS: &[&str] = &[
    "as_integer_ratio",
    "bit_count",
    "bit_length",
    "conjugate",
    "is_integer",
];
/// Methods of floats, sorted.
pub(crate) const FLOAT_METHODS: &[&str] = &["as_integer_ratio", "conjugate", "hex", "is_integer"];

/// `number.name`, if that is no method.
pub(crate) fn part(value: &Value, name: &str) -> Option<Value> {
    match (value, name) {
        (Value::Float(_), "real") => Some(value.clone()),
        (Value::Float(_), "imag") => Some(Value::Float(0.0)),
        (Value::Int(_) | Value::Bool(_), "real" | "numerator") => {
            value.as_integer().map(Value::Int)
        }
        (Value::Int(_) | Value::Bool(_), "imag") => Some(Value::Int(BigInt::ZERO)),
        (Value::Int(_) | Value::Bool(_), "denominator") => Some(Value::Int(BigInt::one())),
        _ => None,
    }
}

/// `number.name()`
pub(crate) fn call(
    evaluator: &mut Evaluator<'_>,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Fault> {
    if !arguments.is_empty() {
        return Err(wrong_number(name, 0..=0, arguments.len()));
    }
    let ratio = |parts: (BigInt, BigInt), evaluator: &mut Evaluator<'_>| {
        let parts = vec![Value::Int(parts.0), Value::Int(parts.1)];
        Ok(Value::Tuple(Items::new(parts, evaluator.budget)?))
    };
    if let Value::Float(number) = value {
        return match name {
            "conjugate" => Ok(value.clone()),
            "hex" => Ok(Value::from(hexadecimal(*number))),
            "is_integer" => Ok(Value::Bool(number.is_finite() && number.fract() == 0.0)),
            _ if !number.is_finite() => Err(Fault::bad_value(format!(
                "{} is no ratio of whole numbers",
                value.shown()
            ))),
            _ => ratio(as_ratio(*number), evaluator),
        };
    }
    let number = value.as_integer().unwrap_or_default();
    Ok(match name {
        "bit_length" => Value::from(number.bits()),
        "bit_count" => Value::from(number.magnitude().count_ones()),
        "is_integer" => Value::Bool(true),
        "as_integer_ratio" => return ratio((number, BigInt::one()), evaluator),
        _ => Value::Int(number),
    })
}

/// A finite number's mantissa and its power of two (IEEE 754 §3.4).
fn parts(number: f64) -> (u64, i32) {
    let bits = number.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    // Eleven bits fit.
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    match exponent {
        0 => (fraction, -1074),
        exponent => (fraction | 1 << 52, exponent - 1075),
    }
}

/// A finite number as a fraction without common factors.
fn as_ratio(number: f64) -> (BigInt, BigInt) {
    let (mantissa, exponent) = parts(number);
    if mantissa == 0 {
        return (BigInt::ZERO, BigInt::one());
    }
    let twos = mantissa.trailing_zeros();
    let exponent = i64::from(exponent) + i64::from(twos);
    let mantissa = BigInt::from(mantissa >> twos);
    let sign = if number.is_sign_negative() { -1 } else { 1 };
    let power = BigInt::one() << exponent.unsigned_abs();
    if exponent < 0 {
        (mantissa * sign, power)
    } else {
        ((mantissa * power) * sign, BigInt::one())
    }
}

/// As `float.hex` writes it: `0x1.8000000000000p+1`.
fn hexadecimal(number: f64) -> String {
    let sign = if number.is_sign_negative() && !number.is_nan() {
        "-"
    } else {
        ""
    };
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return format!("{sign}inf");
    }
    if number.abs() == 0.0 {
        return format!("{sign}0x0.0p+0");
    }
    let (mantissa, exponent) = parts(number);
    let (whole, fraction) = (mantissa >> 52, mantissa & ((1 << 52) - 1));
    format!("{sign}0x{whole}.{fraction:013x}p{:+}", exponent + 52)
}

#[cfg(test)]
mod tests {
    use num_traits::Signed;

    use super::{as_ratio, hexadecimal};

    #[test]
    fn a_ratio_gives_the_number_back() {
        for number in [0.1, -2.5, 1e300, 5e-324, 3.0, f64::MAX] {
            let (over, under) = as_ratio(number);
            assert_eq!(over.is_negative(), number < 0.0);
            assert!(under.is_positive());
        }
        assert_eq!(as_ratio(-2.5), ((-5).into(), 2.into()));
    }

    #[test]
    fn hexadecimal_floats() {
        assert_eq!(hexadecimal(3.0), "0x1.8000000000000p+1");
        assert_eq!(hexadecimal(5e-324), "0x0.0000000000001p-1022");
        assert_eq!(hexadecimal(-0.0), "-0x0.0p+0");
    }
}
