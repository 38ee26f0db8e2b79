"""Lower operators that become a table: one input byte determines one output byte."""

from __future__ import annotations

from tinyml.aot import tables
from tinyml.aot.lower_pointwise import lower_lookup
from tinyml.aot.lowering import Lowering, affine, check_shape, refusal
from tinyml.aot.quantize import Table
from tinyml.format.tflite import Operator


def lower_leaky_relu(lowering: Lowering, operator: Operator) -> None:
    source, result = lowering.tensor(operator, 0), lowering.output(operator)
    scales = affine(operator, source), affine(operator, result)
    _lower(lowering, operator, tables.leaky_relu_table(operator.options["alpha"], *scales))


def lower_logistic(lowering: Lowering, operator: Operator) -> None:
    result = lowering.output(operator)
    if affine(operator, result)[1] != -128:
        raise refusal(operator, result, "must have zero point -128")
    table = tables.logistic_table(affine(operator, lowering.tensor(operator, 0)))
    _lower(lowering, operator, table)


def lower_quantize(lowering: Lowering, operator: Operator) -> None:
    source, result = lowering.tensor(operator, 0), lowering.output(operator)
    scales = affine(operator, source), affine(operator, result)
    _lower(lowering, operator, tables.requantize_table(*scales))


def lower_relu(lowering: Lowering, operator: Operator) -> None:
    source, result = lowering.tensor(operator, 0), lowering.output(operator)
    scales = affine(operator, source), affine(operator, result)
    _lower(lowering, operator, tables.relu_table(*scales))


def _lower(lowering: Lowering, operator: Operator, table: Table | None) -> None:
    _, operand = lowering.operand(operator, 0)
    result = lowering.output(operator)
    check_shape(operator, result, operand.shape)
    if table is None:
        raise refusal(operator, result, "has a scale too small for the interpreter's arithmetic")
    lower_lookup(lowering, operator, operand, result, table)
