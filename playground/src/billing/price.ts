// The price of Pro in words.
import type { BillingQuery } from "../generated/operations";
import { LOCALE, strings } from "../strings";

type Price = NonNullable<BillingQuery["billing"]["proPrice"]>;

// Stripe's smallest units, which are not those of Intl for some currencies: https://docs.stripe.com/currencies
const WITHOUT_DECIMALS = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF";
const WITH_THREE_DECIMALS = "BHD JOD KWD OMR TND";

/** A sentence with the amount and how often it is paid. */
export function describePrice({ amount, currency, interval, intervalCount }: Price): string {
  const decimals = WITHOUT_DECIMALS.includes(currency) ? 0 : WITH_THREE_DECIMALS.includes(currency) ? 3 : 2;
  const format = new Intl.NumberFormat(LOCALE, {
    style: "currency",
    currency,
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
  return strings.billing.price(format.format(amount / 10 ** decimals), strings.billing.intervals[interval](intervalCount));
}
