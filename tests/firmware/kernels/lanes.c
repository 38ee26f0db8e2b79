#include "lanes.h"

#include <math.h>
#include <string.h>

#include "reference.h"

enum { kSteps = 255, kLeftOut = 1 << 14 };

// One channel's sums, and where its output's staircase rises: step[i] is the least sum with an
// output of at least i - 127.
typedef struct {
  int64_t lowest, highest, bias, multiplier, exponent, zero_point, extent;
  int64_t step[kSteps];
  int64_t m, c, gap;  // c of the sums below the gap
  int apart, demands;
  int64_t from, to;  // between which sums the line matters
} Channel;

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

static void find_steps(Channel* channel) {
  for (int64_t i = 0; i < kSteps; ++i) {
    const int64_t n = i - 127 - channel->zero_point, e = channel->exponent;
    const int64_t half = e ? (int64_t)1 << (e - 1) : 0;
    const int64_t product = n * ((int64_t)1 << e) - half + (n <= 0 && e);
    const int64_t least = product * ((int64_t)1 << 31) - (1 << 30);
    channel->step[i] = -floor_div(-least, channel->multiplier);
  }
}

static void look_at(Channel* channel, const int8_t* weights, int32_t taps, int32_t step,
                    const Requant* requant, int32_t c) {
  *channel = (Channel){.bias = requant->bias[c],
                       .multiplier = requant->multiplier[c],
                       .exponent = -requant->shift[c],
                       .zero_point = requant->zero_point};
  channel->lowest = channel->highest = channel->bias;
  for (int32_t t = 0; t < taps; ++t) {
    const int64_t w = weights[t * step];
    channel->lowest += w > 0 ? w * -128 : w * 127;
    channel->highest += w > 0 ? w * 127 : w * -128;
    channel->extent += 128 * (w < 0 ? -w : w);
  }
  find_steps(channel);
}

static int dead(const Channel* channel) { return channel->lowest == channel->highest; }

// Whether m fits, and c: for every output k the sums on both sides of its step, where the channel's
// sums reach them, else the nearest that they reach.
static int line_fits(Channel* channel, int64_t m, int64_t shift) {
  int64_t low = INT64_MIN, high = INT64_MAX;
  channel->from = INT64_MAX, channel->to = INT64_MIN;
  int below = 0, above = 0;
  for (int64_t i = 0; i < kSteps; ++i) {
    const int64_t step = channel->step[i], k = i - 127;
    const int64_t gap = k > channel->zero_point ? channel->gap : 0;
    const int64_t level = k * ((int64_t)1 << shift) - gap;
    const int reached = step <= channel->highest, missed = step > channel->lowest;
    const int last_reached = !missed && (i + 1 == kSteps || channel->step[i + 1] > channel->lowest);
    const int first_missed = !reached && (i == 0 || channel->step[i - 1] <= channel->highest);
    const int wants_low = (reached && missed) || last_reached;
    const int wants_high = (reached && missed) || first_missed;
    if (wants_low) {
      const int64_t at = missed ? step : channel->lowest;
      if (level - m * at > low) low = level - m * at;
      if (at > channel->to) channel->to = at;
    }
    if (wants_high) {
      const int64_t at = reached ? step - 1 : channel->highest;
      if (level - m * at < high) high = level - m * at;
      if (at < channel->from) channel->from = at;
    }
    below |= (wants_low || wants_high) && k <= channel->zero_point;
    above |= (wants_low || wants_high) && k > channel->zero_point;
  }
  if (channel->from == INT64_MAX) channel->from = channel->to;
  if (channel->to == INT64_MIN) channel->to = channel->from;
  if (low != INT64_MIN) low += kLeftOut;
  if (high != INT64_MAX) high -= kLeftOut + 1;
  int64_t c = low == INT64_MIN ? high : high == INT64_MAX ? low + 255 : floor_div(low + high, 2);
  if (low != INT64_MIN && high != INT64_MAX) c += 128;
  c = floor_div(c, 256) * 256;
  if (c < low || c > high) return 0;
  channel->apart = below && above && channel->gap > 0;
  channel->m = m;
  channel->c = c + (above && !channel->apart ? channel->gap : 0);
  return 1;
}

static int find_line(Channel* channel, int64_t shift) {
  const double real =
      (double)channel->multiplier * pow(2, (double)(shift - 31 - channel->exponent));
  const int64_t nearest = (int64_t)rint(real);
  for (int64_t i = 0; i < 7; ++i) {
    const int64_t m = nearest + (i % 2 ? 1 : -1) * ((i + 1) / 2);
    if (m > 0 && line_fits(channel, m, shift)) return 1;
  }
  return 0;
}

// p for a line with c39 taken off; the border of the gap where it has one.
static int64_t place(const Channel* channel, int64_t c, int64_t* border) {
  int64_t p = (int64_t)rint((double)c / (double)channel->m);
  *border = 128;
  if (!channel->apart) return p;
  const int64_t zero = channel->zero_point + 127;
  const int64_t first = channel->step[zero], last = channel->step[zero + 1];
  const int64_t above = -floor_div(-(p + first - 128), 256);
  const int64_t too_far = 256 * above + 128 - p - last;
  const int64_t too_near = p + first - 128 - 256 * (above - 1);
  *border = 256 * (too_far > 0 && too_near < too_far ? above - 1 : above) + 128;
  const int64_t at = *border - p;
  return *border - (at < first ? first : at > last ? last : at);
}

static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

static int place_all(const Channel* channels, int centered, Lanes* lanes) {
  lanes->digits = 1;
  lanes->gap = 0;
  int fits = 1;
  for (int lane = 0; lane < 16; ++lane) {
    const Channel* const channel = &channels[lane];
    int64_t c39 = 0, border = 128, rest = 0, p = 0;
    if (dead(channel)) {
      const int32_t shift = (int32_t)-channel->exponent;
      const int64_t q = reference_finish(
          reference_rescale((int32_t)channel->bias, (int32_t)channel->multiplier, shift),
          (int32_t)channel->zero_point, NULL);
      lanes->start[lane] = 256 * q + 127;
      lanes->m[lane] = (int64_t)1 << (lanes->shift - 8);
    } else {
      const int64_t middle = channel->m * (channel->from + channel->to);
      if (centered)
        c39 = floor_div(channel->c + floor_div(middle, 2) + ((int64_t)1 << 38), (int64_t)1 << 39);
      rest = channel->c - c39 * ((int64_t)1 << 39);
      p = place(channel, rest, &border);
      rest -= channel->m * p;
      lanes->start[lane] = channel->bias + p;
      lanes->m[lane] = channel->m;
      const int64_t up = -floor_div(-(channel->to + p - 127), 127 * 256);
      const int64_t down = -floor_div(channel->from + p + 128, 1 << 15);
      lanes->digits = (int32_t)largest(lanes->digits, largest(up, down));
    }
    lanes->c31[lane] = floor_div(rest + (1 << 30), (int64_t)1 << 31);
    lanes->c[lane] = rest - lanes->c31[lane] * ((int64_t)1 << 31);
    lanes->c39[lane] = c39;
    lanes->bound[lane] = floor_div(border - 128, 256);
    lanes->d[lane] = channel->apart ? -(channel->gap >> 24) : 0;
    lanes->gap |= channel->apart;
    const int64_t start = lanes->start[lane];
    fits &= (start < 0 ? -start : start) + channel->extent < (1 << 19) - 256;
    fits &= lanes->c31[lane] >= -127 && lanes->c31[lane] <= 127;
    fits &= c39 >= -127 && c39 <= 127 && lanes->bound[lane] >= -126 && lanes->bound[lane] <= 126;
    fits &= !channel->apart || (lanes->d[lane] >= -128 && channel->gap == -lanes->d[lane] << 24);
  }
  return fits && lanes->digits <= 3 && (lanes->digits == 3 || !centered);
}

static int find_constants(Channel* channels, Lanes* lanes) {
  double most = 0;
  for (int32_t i = 0; i < 16; ++i) {
    if (!dead(&channels[i])) {
      const double factor =
          (double)channels[i].multiplier * pow(2, (double)(-31 - channels[i].exponent));
      if (factor > most) most = factor;
    }
  }
  lanes->shift = 32;
  if (most > 0) {
    lanes->shift = (int32_t)floor(31 - log2(most));
    if (most * pow(2, lanes->shift) > pow(2, 31) - pow(2, 24)) --lanes->shift;
    if (lanes->shift > 38) lanes->shift = 38;
  }
  if (lanes->shift < 32) return 0;
  for (int32_t i = 0; i < 16; ++i) {
    Channel* const channel = &channels[i];
    const int64_t over = lanes->shift - channel->exponent;
    channel->gap = channel->exponent ? (int64_t)1 << largest(over, 0) : 0;
    if (!dead(channel) && !find_line(channel, lanes->shift)) return 0;
  }
  return place_all(channels, 0, lanes) || place_all(channels, 1, lanes);
}

int find_lanes(const int8_t* weights, int32_t taps, int32_t step, const Requant* requant,
               int32_t first, Lanes* lanes) {
  static Channel channels[16];
  if (!requant->simple) return 0;
  for (int32_t i = 0; i < 16; ++i) {
    if (requant->shift[first + i] > 0) return 0;
    look_at(&channels[i], weights + i, taps, step, requant, first + i);
  }
  return find_constants(channels, lanes);
}

int find_equal_lanes(int64_t lowest, int64_t highest, int64_t extent, int32_t multiplier,
                     int32_t shift, int32_t zero_point, Lanes* lanes) {
  static Channel channels[16];
  if (shift > 0 || shift < -22) return 0;
  channels[0] = (Channel){.lowest = lowest,
                          .highest = highest,
                          .extent = extent,
                          .multiplier = multiplier,
                          .exponent = -shift,
                          .zero_point = zero_point};
  find_steps(&channels[0]);
  for (int32_t i = 1; i < 16; ++i) channels[i] = channels[0];
  return find_constants(channels, lanes);
}
